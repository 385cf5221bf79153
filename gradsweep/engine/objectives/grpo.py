"""Group relative policy optimisation (arXiv 2402.03300, equation 3), on policy.

On policy the ratio p/p_old is 1 and clipping idle, so that a response's gradient is its advantage
times that of its log-probability: the group is what makes another gradient than SFT's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gradsweep.engine.objectives.base import (
    GroupObjective,
    all_equal,
    group_rewards,
    require_allowed,
    require_positive,
)
from gradsweep.engine.response import ResponseTokens
from gradsweep.errors import ConfigError

NORMALISATIONS = ("response", "group", "constant")
STD_OFFSET = 1e-4
"""Added to the standard deviation, as in TRL: a group of equal rewards has advantage 0."""


@dataclass(frozen=True)
class Grpo(GroupObjective):
    """loss = Σ_r Σ_t (−ρ_t·A_r + β·ρ_t·k_t) / N, with ρ_t = p_t/sg(p_t) and the KL estimate
    k_t = p_ref,t/p_t − log(p_ref,t/p_t) − 1 of responses r to one prompt.

    A_r = (reward_r − mean) / (std + 1e-4), or without the division; responses whose reward is NaN
    count in neither and have advantage 0. N: R·T_r (normalisation=response, the paper's), Σ_r T_r
    (group, DAPO 2503.14476) or R·`max_completion_length` (constant, Dr. GRPO 2503.20783).
    """

    other_models = ("reference",)

    normalisation: str = "response"
    scale_rewards: bool = True
    """Whether rewards are divided by their standard deviation (n − 1) within the group."""
    beta: float = 0.0
    """Weight of the KL estimate, whose gradient is 0 where the policy is the reference."""
    unbiased_kl: bool = True
    """Whether k_t has the factor ρ_t, 1 in value, which makes its gradient that of the reverse KL
    (arXiv 2512.02556), as TRL does; false is the paper's."""
    max_completion_length: int = 256
    members: bool = False

    def __post_init__(self) -> None:
        require_allowed(NORMALISATIONS, normalisation=self.normalisation)
        if self.beta < 0:
            raise ConfigError(f"objective.beta must be at least 0, got {self.beta}")
        require_positive(max_completion_length=self.max_completion_length)

    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return the loss of each group: (units,)."""
        advantages = group_advantages(tokens, self.scale_rewards)
        log_probs = tokens.log_probs
        ratio = (log_probs - log_probs.detach()).exp()
        per_token = -ratio * advantages[tokens.rows]
        if self.beta:
            log_ratio = tokens.reference_log_probs - log_probs
            kl = log_ratio.exp() - log_ratio - 1
            per_token = per_token + self.beta * (ratio * kl if self.unbiased_kl else kl)
        sums = tokens.row_sums(per_token)
        n_rows = tokens.unit_sums(torch.ones_like(sums))
        if self.normalisation == "response":
            return tokens.unit_sums(sums / tokens.counts) / n_rows
        if self.normalisation == "group":
            return tokens.unit_sums(sums) / tokens.unit_sums(tokens.counts)
        return tokens.unit_sums(sums) / (n_rows * self.max_completion_length)


def group_advantages(tokens: ResponseTokens, scaled: bool) -> Float[Tensor, " rows"]:
    """Return (reward − mean) / (std + 1e-4) within each unit, or without the division."""
    return torch.cat([_advantages(r, scaled) for r in group_rewards(tokens)])


def _advantages(rewards: Tensor, scaled: bool) -> Tensor:
    known = rewards[~rewards.isnan()]
    if all_equal(known):
        return torch.zeros_like(rewards)
    centred = rewards - known.mean()
    return (centred / (known.std() + STD_OFFSET) if scaled else centred).nan_to_num()
