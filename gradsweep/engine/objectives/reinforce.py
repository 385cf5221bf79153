"""REINFORCE (Williams 1992, "Simple statistical gradient-following algorithms", equation 4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gradsweep.engine.objectives.base import GroupObjective
from gradsweep.engine.response import ResponseTokens


@dataclass(frozen=True)
class Reinforce(GroupObjective):
    """loss = −1/R · Σ_r (reward_r − `baseline`) · Σ_t log p_t; a reward of NaN counts as the
    baseline.
    """

    baseline: float = 0.0
    members: bool = False

    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return the loss of each group: (units,)."""
        sums = tokens.row_sums(tokens.log_probs)
        weighted = -(tokens.rewards - self.baseline).nan_to_num() * sums
        return tokens.unit_sums(weighted) / tokens.unit_sums(torch.ones_like(sums))
