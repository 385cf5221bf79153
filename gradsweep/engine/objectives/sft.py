"""Supervised fine-tuning, the study's objective (arXiv 2410.23743, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from gradsweep.engine.objectives.base import Objective, require_allowed
from gradsweep.engine.response import ResponseTokens
from gradsweep.errors import ConfigError
from gradsweep.records import Sample, Unit

_REDUCTIONS = ("mean", "sum", "step")


@dataclass(frozen=True)
class Sft(Objective):
    """Cross-entropy of response tokens t, in nats.

    mean: loss_i = −1/T_i · Σ_t log p(token_t | tokens before t), of each sample
    sum: loss_i = −Σ_t log p(token_t | …)
    step: of a step's samples together, −Σ_i Σ_t log p(token_t | …) / Σ_i T_i, as Trainer and TRL
    reduce it: a sample weighs by its length
    """

    reduction: str = "mean"
    step_size: int = 8
    """Samples of a step, in the point's order; the last step may have fewer (reduction=step)."""
    members: bool = False

    def __post_init__(self) -> None:
        require_allowed(_REDUCTIONS, reduction=self.reduction)
        if self.step_size < 1:
            raise ConfigError(f"objective.step_size must be at least 1, got {self.step_size}")

    def units(self, samples: Sequence[Sample]) -> list[Unit]:
        """Return a unit for each sample, or for each step of `step_size` samples."""
        if self.reduction != "step":
            return super().units(samples)
        starts = range(0, len(samples), self.step_size)
        return [Unit(tuple(samples[start : start + self.step_size])) for start in starts]

    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return the cross-entropy of each unit: (units,)."""
        sums = -tokens.row_sums(tokens.log_probs)
        if self.reduction == "step":
            return tokens.unit_sums(sums) / tokens.unit_sums(tokens.counts)
        return tokens.unit_sums(sums if self.reduction == "sum" else sums / tokens.counts)
