"""A condition in three numbers: how large its gradients are, how even, how far from irrelevant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.resampling import STATISTICS, Resampled, interval
from gradsweep.analysis.rows import in_reading_order
from gradsweep.records import POINT_LABELS

Floats = NDArray[np.float64]

_NUMBERS = (*STATISTICS, "rd")
_SERIES = ("model", "dataset", "objective", "series")


def condition_summaries(
    by_layer: pl.DataFrame, differences: pl.DataFrame, curves: Resampled
) -> pl.DataFrame:
    """Sum every condition up over all layers and projections, with 95 % intervals over questions.

    A number is the mean over the projections that all conditions of its model, dataset, objective
    and series have, so that conditions can be compared.

    Args:
        by_layer: of `gradsweep.analysis.curves`.
        differences: of `relative_difference`.
        curves: of the same rows and metric.

    Columns: `POINT_LABELS`, point_id, n_projections, n_questions (of the projection that has
    fewest), n_pairs (questions behind RD), and mean, mad, relative_mad (MAD over the mean) and rd
    (of the correct condition, to the irrelevant one of its level), each with `_low` and `_high`.
    NaN where there is no value.
    """
    partners = dict(differences.select("point_id", "irrelevant_point_id").unique().iter_rows())
    lines = []
    for _, of_series in by_layer.group_by(_SERIES, maintain_order=True):
        projections = _common_projections(of_series)
        points = of_series.select(*POINT_LABELS, "point_id").unique(maintain_order=True)
        for *labels, point_id in points.iter_rows():
            numbers = _summary(curves, point_id, partners.get(point_id), projections)
            lines.append({**dict(zip(POINT_LABELS, labels, strict=True)), **numbers})
    return in_reading_order(pl.DataFrame(lines, schema=_schema()))


def _schema() -> dict[str, Any]:
    labels = dict.fromkeys((*POINT_LABELS, "point_id"), pl.String())
    counts = dict.fromkeys(("n_projections", "n_questions", "n_pairs"), pl.Int64())
    numbers = [f"{name}{end}" for name in _NUMBERS for end in ("", "_low", "_high")]
    return {**labels, **counts, **dict.fromkeys(numbers, pl.Float64())}


def _common_projections(by_layer: pl.DataFrame) -> list[str]:
    """Projections in which every condition has a value."""
    measured = by_layer.filter(pl.col("n_samples") > 0)
    n_points = measured["point_id"].n_unique()
    counted = measured.group_by("projection").agg(n=pl.col("point_id").n_unique())
    return counted.filter(pl.col("n") == n_points)["projection"].sort().to_list()


def _summary(
    curves: Resampled, point_id: str, partner: str | None, projections: Iterable[str]
) -> dict[str, Any]:
    found = [name for name in projections if (point_id, name) in curves.of_point]
    questions = [len(curves.of_point[point_id, name].question_ids) for name in found]
    n_questions = min(questions, default=0)
    of_all = [curves.over_layers[point_id, name] for name in found]
    asked = [] if partner is None else [(point_id, partner, name) for name in projections]
    pairs = curves.paired(asked).values()
    n_pairs = min((pair.n_questions for pair in pairs), default=0)
    return {
        "point_id": point_id,
        "n_projections": len(found),
        "n_questions": n_questions,
        "n_pairs": n_pairs,
        **{
            end: value
            for statistic in STATISTICS
            for end, value in _ends(
                statistic, [one[statistic] for one in of_all], n_questions
            ).items()
        },
        **_ends("rd", [pair.over_layers for pair in pairs], n_pairs),
    }


def _ends(name: str, over_projections: list[Floats], n_questions: int) -> Mapping[str, float]:
    """The value and both ends of its interval, NaN where there is none."""
    if not over_projections:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"), np.nan)
    values = np.mean(over_projections, axis=0)
    low, high = interval(values, n_questions)
    return {name: float(values[0]), f"{name}_low": low, f"{name}_high": high}
