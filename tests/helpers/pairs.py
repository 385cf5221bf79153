"""An objective of pairs, as a user might write one: neighbours of the data, the first preferred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from gradsweep.engine.objectives import Objective
from gradsweep.engine.response import ResponseTokens
from gradsweep.records import Sample, Unit


@dataclass(frozen=True)
class Pairs(Objective):
    """loss = −log σ(β·(log p(first) − log p(second))), both summed over the response."""

    beta: float = 0.1

    def units(self, samples: Sequence[Sample]) -> list[Unit]:
        return [Unit(tuple(samples[i : i + 2])) for i in range(0, len(samples) - 1, 2)]

    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        first, second = tokens.row_sums(tokens.log_probs).view(-1, 2).unbind(1)
        return -F.logsigmoid(self.beta * (first - second))
