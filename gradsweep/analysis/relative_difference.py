"""Relative difference (RD) between correct and irrelevant responses."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from gradsweep.analysis.conditions import conditions
from gradsweep.analysis.curves import complete_values
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

_PAIR = ("model", "dataset", "cot", "objective", "series")


def relative_difference(
    rows: pl.DataFrame, metric: str = "nuclear_norm", values: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Compute RD by layer between the correct and irrelevant points of each CoT level.

    Seeds of a condition are pooled (`conditions`).

    RD_i = |s_i − s'_i| / s_i with s the curve of the correct and s' that of the irrelevant
    responses (paper section 3: the correct curve is the unit). Both curves are means over the
    questions that both points have (and, per projection, have complete values for), so that a
    point that is still running, or that lost samples, is compared on equal terms.

    `values` are the `complete_values` of conditions, where they are at hand.

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
    pairs = response_pairs(rows)
    values = complete_values(rows, metric) if values is None else values
    correct = values.join(pairs, on="point_id")
    irrelevant = values.rename({"point_id": "irrelevant_point_id"}).join(
        pairs, on="irrelevant_point_id"
    )
    question = [*_PAIR, "projection", "question_id"]
    common_correct = correct.join(irrelevant, on=question, how="semi")
    common_irrelevant = irrelevant.join(correct, on=question, how="semi")

    curve = [*_PAIR, "projection", "layer"]
    layers = rows.select(curve).unique().join(pairs, on=_PAIR)
    differences = (
        layers.join(_means(common_correct, curve, CORRECT), on=curve, how="left")
        .join(
            _means(common_irrelevant, curve, IRRELEVANT).drop("n_questions"), on=curve, how="left"
        )
        .with_columns(
            pl.col(CORRECT, IRRELEVANT).fill_null(np.nan), pl.col("n_questions").fill_null(0)
        )
    )
    rd = relative_differences(differences[CORRECT].to_numpy(), differences[IRRELEVANT].to_numpy())
    return in_reading_order(
        differences.with_columns(relative_difference=rd).select(
            *_PAIR,
            "point_id",
            "irrelevant_point_id",
            "projection",
            "layer",
            CORRECT,
            IRRELEVANT,
            "relative_difference",
            "n_questions",
        )
    )


def relative_difference_means(differences: pl.DataFrame, top: int = 5) -> pl.DataFrame:
    """Average RD over layers, and find the layers where it is largest (paper section 3: five).

    `differences` is the result of `relative_difference`. Columns: model, dataset, cot, objective,
    series, point_id, irrelevant_point_id, projection, correct and irrelevant (means of the two
    paired curves over layers), relative_difference (mean over the layers where it is defined,
    NaN when there are none), top_layers (at most `top`, the largest first, the earlier layer
    first among equals), n_layers, n_questions.
    """
    of_curve = [*_PAIR, "point_id", "irrelevant_point_id", "projection"]
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
    return paired_points(correct, irrelevant, _PAIR).rename(ids).select(*_PAIR, *ids.values())


def _means(values: pl.DataFrame, curve: list[str], name: str) -> pl.DataFrame:
    return values.group_by(curve, maintain_order=True).agg(
        pl.col("value").mean().alias(name),
        pl.col("question_id").n_unique().cast(pl.Int64).alias("n_questions"),
    )


def relative_differences(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Compute |s − s'|/|s| of values s and s' of one shape; NaN where s is zero.

    The first is the unit; its size counts, as a cosine may be negative.
    """
    s, other = (np.asarray(values, dtype=np.float64) for values in (first, second))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(s - other) / np.abs(s)
    return np.where(s != 0, ratio, np.nan)
