"""Complete values of a metric of a point, as its curves and as claims take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gradsweep.analysis.complete import CurveValues
from gradsweep.analysis.questions import QuestionValues, arranged


@dataclass(frozen=True)
class PointValues:
    """One condition, by question."""

    values: dict[str, QuestionValues]
    """By projection."""
    asked: tuple[str, ...]
    """Questions with rows, whether they have values or not."""

    @cached_property
    def size(self) -> int:
        return sum(of_projection.values.size for of_projection in self.values.values())


@dataclass(frozen=True)
class PointCurves:
    """Complete values of a metric of a point, without its rows."""

    values: Sequence[CurveValues]
    asked: tuple[str, ...]
    """As of `PointValues`."""
    tokens: NDArray[np.float64] | None
    """Response tokens of the samples that have rows, in the order of their names; None where that
    is not known."""

    def summed(self, power: int) -> PointCurves | None:
        """Give the values times the samples' tokens (`gradsweep.analysis.reduction`); None where a
        curve has not all of the samples."""
        tokens = self.tokens
        if tokens is None or any(len(one.values) != len(tokens) for one in self.values):
            return None
        factors = (tokens**power)[:, None]
        scaled = [replace(one, values=one.values * factors) for one in self.values]
        return replace(self, values=scaled)

    def arranged(self, point_id: str) -> PointValues:
        return PointValues(arranged(self.values).get(point_id, {}), self.asked)
