"""REINFORCE leave-one-out (arXiv 2402.14740, equation 6), on policy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gradsweep.engine.objectives.base import GroupObjective, all_equal, group_rewards
from gradsweep.engine.response import ResponseTokens


@dataclass(frozen=True)
class Rloo(GroupObjective):
    """loss = −1/R · Σ_r A_r·ρ_r, ρ_r = exp(L_r − sg(L_r)), L_r = Σ_t log p_t.

    A_r is the reward minus the mean reward of the other responses to the prompt; of a lone response
    it is 0, and so it is where the reward is NaN, which counts for no other either.
    """

    members: bool = False

    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return the loss of each group: (units,)."""
        sums = tokens.row_sums(tokens.log_probs)
        weighted = -(sums - sums.detach()).exp() * leave_one_out(tokens)
        return tokens.unit_sums(weighted) / tokens.unit_sums(torch.ones_like(sums))


def leave_one_out(tokens: ResponseTokens) -> Float[Tensor, " rows"]:
    """Return each reward minus the mean of the others' in its unit."""
    return torch.cat([_advantages(rewards) for rewards in group_rewards(tokens)])


def _advantages(rewards: Tensor) -> Tensor:
    known = rewards[~rewards.isnan()]
    if all_equal(known):
        return torch.zeros_like(rewards)
    baseline = (known.sum() - rewards) / (len(known) - 1)
    return (rewards - baseline).nan_to_num()
