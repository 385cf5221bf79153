"""Metrics of whole samples, such as the loss: a value per point in the place of a curve.

They come from the table of samples. As rows of one layer of one projection (`WHOLE_SAMPLE`) they go
through the same means, intervals, tests and claims as the metrics of a weight's gradient, and what
compares layers is undefined for them.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from gradsweep.analysis.curves import curve_means, curves
from gradsweep.records import POINT_LABELS, SAMPLE_METRICS, WHOLE_SAMPLE, SampleStatus


def sample_rows(samples: pl.DataFrame) -> pl.DataFrame:
    """Make rows of the measured samples, one line each: layer 0 of the projection `sample`.

    Args:
        samples: as `load_samples_table` gives them.

    Returns:
        point_id, `POINT_LABELS`, seed and step_index as far as `samples` have them, sample_id,
        question_id, layer, projection, `SAMPLE_METRICS`.
    """
    named = ("point_id", *POINT_LABELS, "seed", "step_index")
    labels = [name for name in named if name in samples.columns]
    measured = samples.filter(pl.col("status") == SampleStatus.OK.value)
    return measured.select(
        *labels,
        "sample_id",
        "question_id",
        pl.lit(0, pl.Int32()).alias("layer"),
        pl.lit(WHOLE_SAMPLE).alias("projection"),
        *SAMPLE_METRICS,
    ).unique(["point_id", "sample_id"] if "point_id" in labels else "sample_id",
             maintain_order=True)  # fmt: skip


def rows_of_metric(metric: str, rows: pl.DataFrame, samples: pl.DataFrame | None) -> pl.DataFrame:
    """Choose the rows that have `metric`: of the weights, or of the samples (`sample_rows`)."""
    if metric not in SAMPLE_METRICS or samples is None:
        return rows
    return sample_rows(samples)


def summed_over_tokens(samples: pl.DataFrame) -> pl.DataFrame:
    """Give samples the loss summed over their response tokens, in place of its mean."""
    return samples.with_columns(loss=pl.col("loss") * pl.col("n_response_tokens"))


def sample_scalars(samples: pl.DataFrame) -> dict[str, float]:
    """Sum one point's samples up: `<metric>_mean`, the mean of the measured samples with a value.

    `samples` needs no columns for point and axes.
    """
    named = samples.with_columns(pl.lit("").alias(n) for n in ("point_id", *POINT_LABELS))
    rows = sample_rows(named)
    means = {
        metric: curve_means(curves(rows, metric, resamples=0))["mean"].to_list()
        for metric in SAMPLE_METRICS
    }
    return {f"{m}_mean": values[0] for m, values in means.items() if np.isfinite(values).any()}
