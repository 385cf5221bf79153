"""The contract of an objective: which samples have one loss, and what that loss is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from gradsweep.engine.response import ResponseTokens
from gradsweep.records import Sample, Unit


class Objective(ABC):
    """One loss for each unit; a subclass is named by `objective._target_` with its options.

    A gradient is that of a unit's loss, so losses of different units must not depend on each
    other. Options are the constructor's arguments; all of them are part of a point's id.
    """

    def units(self, samples: Sequence[Sample]) -> list[Unit]:
        """Group a point's samples into units; each sample is one of its own unless overridden.

        The same samples always give the same units, in the same order, and every sample is in
        one of them: what a killed point has stored is found again by the units' ids.
        """
        return [Unit((sample,)) for sample in samples]

    @abstractmethod
    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return one scalar per unit: (units,), float32, differentiable.

        Args:
            tokens: the response tokens of a batch of whole units.
        """
