"""Contrastive preference optimisation (arXiv 2401.08417, equation 5)."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from gradsweep.engine.objectives.base import PairObjective, require_positive
from gradsweep.engine.response import ResponseTokens
from gradsweep.errors import ConfigError


@dataclass(frozen=True)
class Cpo(PairObjective):
    """loss = −(1−ε)·log σ(βΔ) − ε·log σ(−βΔ) − α/T_w · Σ_t log p_w,t, Δ = Σ log p_w − Σ log p_l."""

    beta: float = 0.1
    alpha: float = 1.0
    label_smoothing: float = 0.0
    """ε; at ½ the pair prefers neither, and the cross-entropy of the chosen is all that pulls."""
    members: bool = False

    def __post_init__(self) -> None:
        require_positive(beta=self.beta)
        if not 0 <= self.label_smoothing <= 0.5:
            raise ConfigError(
                f"objective.label_smoothing={self.label_smoothing}: allowed are 0 to ½"
            )

    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return the loss of each pair: (units,)."""
        sums = tokens.row_sums(tokens.log_probs)
        chosen, rejected = self.of_pairs(sums, tokens)
        chosen_mean, _ = self.of_pairs(sums / tokens.counts, tokens)
        right, wrong = self.beta * (chosen - rejected), self.beta * (rejected - chosen)
        smooth = self.label_smoothing
        preference = -(1 - smooth) * F.logsigmoid(right) - smooth * F.logsigmoid(wrong)
        return preference - self.alpha * chosen_mean
