"""Supervised fine-tuning, the study's objective (arXiv 2410.23743, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from gradsweep.engine.objectives.base import Objective
from gradsweep.engine.response import ResponseTokens


@dataclass(frozen=True)
class Sft(Objective):
    """loss_i = −1/T_i · Σ_t log p(token_t | tokens before t), over response tokens t; in nats."""

    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return the mean cross-entropy over each sample's response tokens: (units,)."""
        return tokens.unit_sums(-tokens.row_sums(tokens.log_probs) / tokens.counts)
