"""Metrics by step: of every moment the mean over layers and projections, and MAD, with intervals.

Each moment of a run is treated as a point of its own, so that one definition of means, MAD and
intervals holds here as everywhere. Every moment draws the same questions in a resample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.complete import complete_values
from gradsweep.analysis.reduction import sum_reduced
from gradsweep.analysis.resampling import (
    STATISTICS,
    Resampled,
    interval,
    mean_of_finite,
    resampled,
)
from gradsweep.analysis.rows import in_reading_order, require_metric
from gradsweep.analysis.sample_metrics import sample_rows
from gradsweep.config import cot_reading_key
from gradsweep.records import MOMENT, POINT_LABELS, Source

Floats = NDArray[np.float64]

RUN = ("point_id", *POINT_LABELS, "seed")
"""Columns that name a run."""


def norms_by_step(
    rows: pl.DataFrame, metric: str = "nuclear_norm", *, resamples: int = 1000, seed: int = 0
) -> pl.DataFrame:
    """Compute a metric's mean over questions, layers and projections, and its MAD, at each moment.

    The curve over layers is the mean over a moment's questions; `mean` and `mad` are of it, as
    everywhere, averaged over the projections that all moments of the run and source have.
    `relative_mad` is MAD over the mean. Intervals are 95 % percentile bootstraps over the probe's
    questions; an update is one gradient and has none.

    Args:
        rows: of `gradsweep.load_training`.
        metric: one that they have.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        Columns of `RUN` and `MOMENT`; mean, mad (in the metric's unit) and relative_mad, each with
        `_low` and `_high` (NaN without an interval); n_questions, n_projections. By run, updates
        before probes, from fast to slow thinking, then by step. Moments without any finite value
        have no line.

    Raises:
        ConfigError: an unknown metric.
        DataError: a projection with rows of single heads only.
    """
    require_metric(rows, metric)
    lines: list[dict[str, Any]] = []
    for of_source in _by_source(rows):
        # One gradient has nothing to draw again.
        drawn = resamples if of_source["source"][0] == Source.probe.value else 0
        lines += _lines(of_source, metric, drawn, seed)
    numbers = [f"{name}{end}" for name in STATISTICS for end in ("", "_low", "_high")]
    schema: dict[str, Any] = {name: rows.schema[name] for name in (*RUN, *MOMENT)}
    schema |= dict.fromkeys(numbers, pl.Float64())
    schema |= dict.fromkeys(("n_questions", "n_projections"), pl.Int64())
    return in_order(pl.DataFrame(lines, schema=schema))


def layers_by_step(rows: pl.DataFrame, metric: str = "nuclear_norm") -> pl.DataFrame:
    """Average a metric over the questions of each moment, by projection and layer.

    Columns of `RUN` and `MOMENT`; projection, layer, value (in the metric's unit). Raises as
    `norms_by_step`.
    """
    require_metric(rows, metric)
    named = with_moment_ids(rows)
    means = (
        complete_values(named, metric)
        .group_by("point_id", "projection", "layer")
        .agg(pl.col("value").mean())
        .rename({"point_id": "moment_id"})
    )
    joined = _moments(named).join(means, on="moment_id", how="inner").drop("moment_id")
    return in_order(joined, "projection", "layer")


def with_moment_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """Make every moment of rows or samples a point: `point_id` names both, `run` the run alone."""
    parts = [pl.col(name).cast(pl.String).fill_null("") for name in ("point_id", *MOMENT)]
    return frame.with_columns(
        pl.col("point_id").alias("run"), pl.concat_str(parts, separator="\n").alias("point_id")
    )


def sample_rows_of_moments(samples: pl.DataFrame) -> pl.DataFrame:
    """Make rows of the samples measured at each moment, whose metric is the loss (`sample_rows`).

    Args:
        samples: of `gradsweep.load_training`.

    Returns:
        Columns of `RUN` and `MOMENT`, then those of `sample_rows`.
    """
    named = with_moment_ids(samples)
    rows = sample_rows(named).rename({"point_id": "moment_id"}).drop(RUN, strict=False)
    return rows.join(_moments(named), on="moment_id", how="left").drop("moment_id")


def summed_over_tokens(rows: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Scale rows of every moment to the sum of the token losses (`sum_reduced`).

    Args:
        rows: of `gradsweep.load_training`, of losses that are means over tokens.
        samples: of the same points.

    Raises:
        DataError: `samples` does not have every sample of `rows`.
    """
    summed = sum_reduced(with_moment_ids(rows), with_moment_ids(samples))
    return summed.with_columns(point_id=pl.col("run")).drop("run")


def in_order(frame: pl.DataFrame, *more: str) -> pl.DataFrame:
    """Sort lines of moments: by run, updates before probes, from fast to slow thinking, by step."""
    levels = sorted(frame["probe_cot"].drop_nulls().unique(), key=cot_reading_key)
    rank = {level: place for place, level in enumerate(levels)}
    level = pl.col("probe_cot").replace_strict(rank, default=-1, return_dtype=pl.Int64)
    updates = pl.col("source") != Source.update.value
    runs = in_reading_order(frame.select(RUN).unique()).with_row_index("place")
    placed = frame.join(runs.select("point_id", "place"), on="point_id", how="left")
    order = ["place", updates, level, "probe_correctness", "step", *more]
    return placed.sort(order, nulls_last=False).drop("place")


def _by_source(rows: pl.DataFrame) -> list[pl.DataFrame]:
    return rows.partition_by("point_id", "source", maintain_order=True)


def _moments(named: pl.DataFrame) -> pl.DataFrame:
    """Columns of `RUN` and `MOMENT`, and moment_id."""
    moments = named.select(
        pl.col("run").alias("point_id"),
        *(name for name in RUN if name != "point_id"),
        *MOMENT,
        pl.col("point_id").alias("moment_id"),
    )
    return moments.unique("moment_id", maintain_order=True)


def _lines(rows: pl.DataFrame, metric: str, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Lines of one run and source."""
    named = with_moment_ids(rows)
    found = resampled(named, metric, resamples, seed)
    projections = _shared_projections(found)
    lines = []
    for moment in _moments(named).iter_rows(named=True):
        name = moment.pop("moment_id")
        if any((name, projection) in found.of_point for projection in projections):
            lines.append({**moment, **_numbers(found, name, projections)})
    return lines


def _shared_projections(found: Resampled) -> list[str]:
    """Projections that every moment has."""
    moments: dict[str, set[str]] = {}
    for moment, projection in found.of_point:
        moments.setdefault(moment, set()).add(projection)
    return sorted(set.intersection(*moments.values())) if moments else []


def _numbers(found: Resampled, moment: str, projections: list[str]) -> Mapping[str, float | int]:
    sums = [found.of_point[moment, projection] for projection in projections]
    n_questions = min(len(one.question_ids) for one in sums)
    of_all = [_statistics(found.curve(one), one.layers) for one in sums]
    numbers: dict[str, float | int] = {}
    for name in STATISTICS:
        values = np.mean([one[name] for one in of_all], axis=0)
        low, high = interval(values, n_questions)
        numbers |= {name: float(values[0]), f"{name}_low": low, f"{name}_high": high}
    return numbers | {"n_questions": n_questions, "n_projections": len(projections)}


def _statistics(curves: Floats, layers: Sequence[int]) -> dict[str, Floats]:
    """Mean and MAD of (1 + resamples, layers): (1 + resamples,) each.

    Only layers that are next to each other have a difference (`mean_absolute_difference`).
    """
    neighbours = np.diff(layers) == 1
    mean, mad = (
        mean_of_finite(curves),
        mean_of_finite(np.abs(np.diff(curves, axis=1))[:, neighbours]),
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"mean": mean, "mad": mad, "relative_mad": np.where(mean > 0, mad / mean, np.nan)}
