"""Relative difference (RD) between correct and irrelevant responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from gradsweep.analysis.complete import CurveValues, SortedRows
from gradsweep.analysis.conditions import conditions
from gradsweep.analysis.pairs import paired_points
from gradsweep.analysis.rows import (
    CORRECT,
    IRRELEVANT,
    in_reading_order,
    require_metric,
    whole_matrices,
    with_every_axis,
)
from gradsweep.records import POINT_LABELS

PAIRED_ON = ("model", "dataset", "cot", "objective", "series")
"""What the two points of a pair have in common."""


def relative_difference(rows: pl.DataFrame, metric: str = "nuclear_norm") -> pl.DataFrame:
    """Compute RD by layer between the correct and irrelevant points of each CoT level.

    Seeds of a condition are pooled (`conditions`).

    RD_i = |s_i − s'_i| / s_i with s the curve of the correct and s' that of the irrelevant
    responses (paper section 3: the correct curve is the unit). Both curves are means over the
    questions that both points have (and, per projection, have complete values for), so that a
    point that is still running, or that lost samples, is compared on equal terms.

    The absolute value makes RD positive for noise too: with few samples compare it between CoT
    levels rather than with zero.

    Columns: model, dataset, cot, objective, series, point_id (the correct point),
    irrelevant_point_id, projection, layer, correct (s_i), irrelevant (s'_i), relative_difference,
    n_questions. A level
    that has only one of the two points has no lines. RD is NaN where s_i is zero or a curve has no
    value; with no common question everything is NaN and n_questions 0.

    Raises:
        ConfigError: an unknown metric.
        DataError: a projection with rows of single heads only.
    """
    require_metric(rows, metric)
    rows = whole_matrices(conditions(with_every_axis(rows)))
    return differences_of_pairs(layers_of_pairs(rows), SortedRows(rows).curves(metric))


def layers_of_pairs(rows: pl.DataFrame) -> pl.DataFrame:
    """List the layers that either point of a pair has, whatever the metric: columns of
    `response_pairs`, projection and layer, in reading order.

    `rows` are whole matrices of conditions.
    """
    layers = rows.select(*PAIRED_ON, "projection", "layer").unique()
    return in_reading_order(layers.join(response_pairs(rows), on=PAIRED_ON))


def differences_of_pairs(layers: pl.DataFrame, values: Sequence[CurveValues]) -> pl.DataFrame:
    """Compute `relative_difference` of complete values.

    Args:
        layers: of `layers_of_pairs`.
        values: of the metric.
    """
    pairs = layers.select("point_id", "irrelevant_point_id").unique(maintain_order=True)
    correct, irrelevant = (
        means.cast({"layer": layers.schema["layer"]}).rename({"mean": name})
        for means, name in zip(_means_of_common(values, pairs), (CORRECT, IRRELEVANT), strict=True)
    )
    line = ["point_id", "projection", "layer"]
    differences = (
        layers.join(correct, on=line, how="left", maintain_order="left")
        .join(irrelevant.drop("n_questions"), on=line, how="left", maintain_order="left")
        .with_columns(
            pl.col(CORRECT, IRRELEVANT).fill_null(np.nan), pl.col("n_questions").fill_null(0)
        )
    )
    rd = relative_differences(differences[CORRECT].to_numpy(), differences[IRRELEVANT].to_numpy())
    return differences.with_columns(relative_difference=rd).select(
        *PAIRED_ON,
        "point_id",
        "irrelevant_point_id",
        "projection",
        "layer",
        CORRECT,
        IRRELEVANT,
        "relative_difference",
        "n_questions",
    )


def relative_difference_means(differences: pl.DataFrame, top: int = 5) -> pl.DataFrame:
    """Average RD over layers, and find the layers where it is largest (paper section 3: five).

    `differences` is the result of `relative_difference`. Columns: model, dataset, cot, objective,
    series, point_id, irrelevant_point_id, projection, correct and irrelevant (means of the two
    paired curves over layers), relative_difference (mean over the layers where it is defined,
    NaN when there are none), top_layers (at most `top`, the largest first, the earlier layer
    first among equals), n_layers, n_questions.
    """
    of_curve = [*PAIRED_ON, "point_id", "irrelevant_point_id", "projection"]
    defined = pl.col("relative_difference").is_finite()
    largest_first = (
        pl.col("layer")
        .filter(defined)
        .sort_by(
            pl.col("relative_difference").filter(defined), descending=True, maintain_order=True
        )
    )
    means = (
        differences.sort("layer")
        .group_by(of_curve, maintain_order=True)
        .agg(
            pl.col(CORRECT).filter(pl.col(CORRECT).is_finite()).mean().fill_null(np.nan),
            pl.col(IRRELEVANT).filter(pl.col(IRRELEVANT).is_finite()).mean().fill_null(np.nan),
            pl.col("relative_difference").filter(defined).mean().fill_null(np.nan),
            largest_first.head(top).alias("top_layers"),
            defined.sum().cast(pl.Int64).alias("n_layers"),
            pl.col("n_questions").max(),
        )
    )
    return in_reading_order(means)


def response_pairs(rows: pl.DataFrame) -> pl.DataFrame:
    """Pair the correct and the irrelevant point of each model, dataset, CoT level and series.

    Columns: model, dataset, cot, objective, series, point_id (correct), irrelevant_point_id.
    """
    points = rows.select(*POINT_LABELS, "point_id").unique()
    correct, irrelevant = (
        points.filter(pl.col("correctness") == kind) for kind in (CORRECT, IRRELEVANT)
    )
    ids = {"first_point_id": "point_id", "second_point_id": "irrelevant_point_id"}
    return (
        paired_points(correct, irrelevant, PAIRED_ON).rename(ids).select(*PAIRED_ON, *ids.values())
    )


def _means_of_common(
    values: Sequence[CurveValues], pairs: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Average both curves of every pair over their common questions.

    Columns of each: point_id (of the correct point in both), projection, layer, mean, n_questions.
    """
    projections: dict[str, list[str]] = {}
    for one in values:
        projections.setdefault(one.point_id, []).append(one.projection)
    of = {one.names: one for one in values}
    sides: tuple[list[_Common], list[_Common]] = [], []
    for first, second in pairs.select("point_id", "irrelevant_point_id").iter_rows():
        for projection in projections.get(first, ()):
            if (second, projection) in of:
                both = of[first, projection], of[second, projection]
                for side, own, other in zip(sides, both, both[::-1], strict=True):
                    side.append(_Common(first, own, _common_samples(own, other)))
    return _means(sides[0]), _means(sides[1])


class _Common(NamedTuple):
    """The samples of a curve whose questions its partner has, too."""

    point_id: str
    curve: CurveValues
    samples: NDArray[np.intp]

    @property
    def n_questions(self) -> int:
        return len(np.unique(self.curve.asked.place[self.samples]))


def _common_samples(own: CurveValues, other: CurveValues) -> NDArray[np.intp]:
    if own.asked.question_ids == other.asked.question_ids:
        return np.arange(len(own.values))
    known = set(other.asked.question_ids)
    shared = np.array([name in known for name in own.asked.question_ids], bool)
    return np.flatnonzero(shared[own.asked.place])


def _means(of_pairs: Sequence[_Common]) -> pl.DataFrame:
    """A line for each layer of each curve that has such samples."""
    lines: list[tuple[str, str, int, float, int]] = []
    for one in of_pairs:
        if len(one.samples):
            # As in `curves`: Polars' mean of a group has other last bits with other groups beside.
            means = one.curve.values[one.samples].mean(axis=0).tolist()
            names, n_questions = (one.point_id, one.curve.projection), one.n_questions
            lines += [
                (*names, layer, mean, n_questions)
                for layer, mean in zip(one.curve.layers, means, strict=True)
            ]
    schema = {"point_id": pl.String(), "projection": pl.String(), "layer": pl.Int64()}
    schema |= {"mean": pl.Float64(), "n_questions": pl.Int64()}
    return pl.DataFrame(lines, schema, orient="row")


def relative_differences(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Compute |s − s'|/|s| of values s and s' of one shape; NaN where s is zero.

    The first is the unit; its size counts, as a cosine may be negative.
    """
    s, other = (np.asarray(values, dtype=np.float64) for values in (first, second))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(s - other) / np.abs(s)
    return np.where(s != 0, ratio, np.nan)
