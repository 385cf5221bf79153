"""Dynamic fine-tuning (arXiv 2508.05629, equation 9)."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from gradsweep.engine.objectives.base import Objective
from gradsweep.engine.response import ResponseTokens


@dataclass(frozen=True)
class Dft(Objective):
    """loss_i = −1/T_i · Σ_t sg(p_t)·log p_t, sg being a constant to the gradient."""

    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return the probability-weighted cross-entropy of each sample: (units,)."""
        weighted = tokens.log_probs.detach().exp() * tokens.log_probs
        return tokens.unit_sums(-tokens.row_sums(weighted) / tokens.counts)
