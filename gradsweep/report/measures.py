"""What tables and figures draw from: computed once for each metric, for all points together."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import polars as pl

from gradsweep.analysis import (
    between_seeds,
    condition_summaries,
    conditions,
    curves,
    difference_intervals,
    mean_absolute_difference,
    part_intervals,
    part_means,
    relative_difference,
    relative_difference_means,
    resampled,
)
from gradsweep.analysis.intervals import Resampled
from gradsweep.analysis.rows import rows_with_values
from gradsweep.store.series import with_model_labels


@dataclass(frozen=True)
class Measures:
    """One metric's curves and what follows from them; every frame is in reading order."""

    metric: str
    curves: pl.DataFrame
    """By layer (`gradsweep.analysis.curves`), with bootstrap intervals unless left out."""
    means: pl.DataFrame
    """By part (`part_means`)."""
    mads: pl.DataFrame
    """By part (`mean_absolute_difference`)."""
    differences: pl.DataFrame
    """RD by layer (`relative_difference`), with rd_low and rd_high (`difference_intervals`)."""
    differences_over_layers: pl.DataFrame
    """RD averaged, with the five layers where it is largest (`relative_difference_means`), and
    rd_low and rd_high."""
    intervals: pl.DataFrame
    """Of means and MADs by part (`part_intervals`)."""
    summaries: pl.DataFrame
    """Of conditions, over all layers and projections (`condition_summaries`)."""
    seeds: pl.DataFrame
    """Of conditions with several seeds (`between_seeds`)."""
    samples: pl.DataFrame
    """point_id, n_samples: how many samples of a point have rows."""

    def labelled(self) -> Measures:
        """Name models for a reader in every frame: `qwen2_1.5b n_samples=2`, without a series."""
        frames: dict[str, Any] = {
            f.name: with_model_labels(frame)
            for f in fields(self)
            if isinstance(frame := getattr(self, f.name), pl.DataFrame)
            and "series" in frame.columns
        }
        return replace(self, **frames)


def compute_measures(
    rows: pl.DataFrame, metric: str, *, intervals: bool = True, summary: bool = True
) -> Measures:
    """Compute one metric's curves, means, MAD and RD of all conditions together (`conditions`).

    Args:
        rows: as `load_rows` gives them.
        metric: one that the rows have.
        intervals: whether numbers have bootstrap intervals, which take most of the time.
        summary: whether there are `Measures.intervals` and `Measures.summaries`, which curves do
            without; otherwise they have no lines.

    Raises:
        ConfigError: an unknown metric, or one without any value in `rows`.
        DataError: a projection with rows of single heads only.
    """
    seeds = between_seeds(rows_with_values(rows, metric), metric)
    rows = rows_with_values(conditions(rows), metric)
    differences = relative_difference(rows, metric)
    by_layer = curves(rows, metric) if intervals else curves(rows, metric, resamples=0)
    questions = resampled(rows, metric, 1000 if intervals else 0)
    summed_up = questions if summary else Resampled({})
    ends = difference_intervals(questions, differences)
    return Measures(
        metric=metric,
        curves=by_layer,
        means=part_means(by_layer),
        mads=mean_absolute_difference(by_layer),
        differences=_with_ends(differences, ends, ["layer"]),
        differences_over_layers=_with_ends(
            relative_difference_means(differences), ends.filter(pl.col("layer").is_null()), []
        ),
        intervals=part_intervals(summed_up),
        summaries=condition_summaries(
            by_layer if summary else by_layer.clear(), differences, questions
        ),
        seeds=seeds,
        samples=rows.group_by("point_id").agg(n_samples=pl.col("sample_id").n_unique()),
    )


def _with_ends(differences: pl.DataFrame, ends: pl.DataFrame, also: list[str]) -> pl.DataFrame:
    """Add rd_low and rd_high, NaN where there are none."""
    keys = ["point_id", "projection", *also]
    joined = differences.join(
        ends.select(*keys, "rd_low", "rd_high"), on=keys, how="left", maintain_order="left"
    )
    return joined.with_columns(pl.col("rd_low", "rd_high").fill_null(np.nan))
