"""Simple preference optimisation (arXiv 2405.14734, equation 6)."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from gradsweep.engine.objectives.base import PairObjective, require_positive
from gradsweep.engine.response import ResponseTokens


@dataclass(frozen=True)
class SimPo(PairObjective):
    """loss = −log σ(β(ā_w − ā_l) − γ), ā being the mean log-probability of a response's tokens."""

    beta: float = 2.0
    gamma: float = 1.0
    members: bool = False

    def __post_init__(self) -> None:
        require_positive(beta=self.beta)

    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return the loss of each pair: (units,)."""
        means = tokens.row_sums(tokens.log_probs) / tokens.counts
        chosen, rejected = self.of_pairs(means, tokens)
        return -F.logsigmoid(self.beta * (chosen - rejected) - self.gamma)
