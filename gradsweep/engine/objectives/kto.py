"""Kahneman-Tversky optimisation (arXiv 2402.01306, equations 7 and 8)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gradsweep.engine.objectives.base import Objective, require_positive
from gradsweep.engine.response import ResponseTokens


@dataclass(frozen=True)
class Kto(Objective):
    """loss_i = λ_D·(1 − σ(β(r − z₀))) of a desirable response, λ_U·(1 − σ(β(z₀ − r))) of another.

    r = Σ_t log p_t − Σ_t log p_ref,t. The baseline z₀ is a divergence from the reference, and 0 at
    step 0. A response is desirable where its reward is above 0.
    """

    other_models = ("reference",)

    beta: float = 0.1
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0
    kl: float = 0.0
    """z₀, in nats."""

    def __post_init__(self) -> None:
        require_positive(
            beta=self.beta,
            desirable_weight=self.desirable_weight,
            undesirable_weight=self.undesirable_weight,
        )

    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return the loss of each response: (units,)."""
        desirable = tokens.rewards > 0
        margin = tokens.row_sums(tokens.log_probs) - tokens.reference_sums - self.kl
        sign = torch.where(desirable, 1.0, -1.0)
        weight = torch.where(desirable, self.desirable_weight, self.undesirable_weight)
        return tokens.unit_sums(weight * (1 - torch.sigmoid(self.beta * sign * margin)))
