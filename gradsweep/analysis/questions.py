"""A point's values as arrays, question by question: what paired comparisons start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.complete import CurveValues, SortedRows

Floats = NDArray[np.float64]

FEWEST_QUESTIONS = 10
"""Below this nothing is decided: no verdict, no test, no problem. With n pairs the smallest p of a
sign-flip test is 2/2ⁿ, and Holm's correction multiplies it by the number of projections: 10
questions can be significant (p < 0.05) in all of 25 projections, 8 in six and not in the seven of
`gradients=attention_mlp`, 6 in one. And a percentile bootstrap over fewer is too narrow."""


@dataclass(frozen=True)
class QuestionValues:
    """One metric of one point in one projection."""

    question_ids: tuple[str, ...]
    """Questions with a value in every layer, sorted."""
    layers: tuple[int, ...]
    values: Floats
    """(questions, layers), the mean over a question's samples where it has several."""

    def at(self, question_ids: Sequence[str], layers: Sequence[int]) -> Floats:
        """Pick the values of these questions and layers: (questions, layers)."""
        if tuple(question_ids) == self.question_ids and tuple(layers) == self.layers:
            return self.values
        row = {name: index for index, name in enumerate(self.question_ids)}
        column = {layer: index for index, layer in enumerate(self.layers)}
        cells = np.ix_([row[name] for name in question_ids], [column[layer] for layer in layers])
        return self.values[cells]


def question_values(rows: pl.DataFrame, metric: str) -> dict[str, dict[str, QuestionValues]]:
    """Arrange the values of points' `rows`: point -> projection -> values.

    Complete questions only (`complete_values`): a value that is not finite, or that failed its
    checksum, in some layer leaves the question out of that projection. A projection without
    any complete question is not there, nor is a point without any.
    """
    return arranged(SortedRows(rows).curves(metric))


def arranged(found: Sequence[CurveValues]) -> dict[str, dict[str, QuestionValues]]:
    """Arrange values curve by curve: point -> projection -> values."""
    by_point: dict[str, dict[str, QuestionValues]] = {}
    for one in found:
        values = QuestionValues(one.asked.question_ids, one.layers, _of_questions(one))
        by_point.setdefault(one.point_id, {})[one.projection] = values
    return by_point


def _of_questions(curve: CurveValues) -> Floats:
    """Means over a question's samples: (questions, layers)."""
    asked = curve.asked
    if asked.once:
        return curve.values[np.argsort(asked.place)]
    lines = {
        "question": np.repeat(asked.place, len(curve.layers)),
        "layer": np.tile(np.arange(len(curve.layers)), len(asked.place)),
        "value": curve.values.ravel(),
    }
    key = ("question", "layer")
    means = pl.DataFrame(lines).group_by(key).agg(pl.col("value").mean()).sort(key)
    return means["value"].to_numpy().reshape(-1, len(curve.layers))


@dataclass(frozen=True)
class PointQuestions:
    """One metric of one point: what it brings to every pair that it is in."""

    values: Mapping[str, QuestionValues]
    """Projection -> values (`question_values`)."""
    asked: Mapping[str, frozenset[str]]
    """Projection -> questions that have rows."""


def point_questions(rows: pl.DataFrame, metric: str) -> PointQuestions:
    """Arrange one point's `rows`, which are of whole matrices, and list what was asked."""
    asked = rows.group_by("projection").agg(pl.col("question_id").unique())
    return PointQuestions(
        next(iter(question_values(rows, metric).values()), {}),
        {name: frozenset(questions) for name, questions in asked.iter_rows()},
    )
