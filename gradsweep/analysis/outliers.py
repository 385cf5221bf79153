"""Samples that lie farthest from the other samples of their point."""

from __future__ import annotations

import polars as pl

from gradsweep.analysis.rows import require_metric, whole_matrices


def sample_outliers(
    rows: pl.DataFrame, metric: str = "nuclear_norm", largest: int = 5
) -> pl.DataFrame:
    """Find the `largest` samples of each point by distance from the point's median, farthest first.

    A sample's value is the mean of `metric` over its layers and projections; values that are not
    finite, and rows that failed their checksum, do not count.

    Columns: point_id, sample_id, question_id, value, median (of all samples of the point; both
    in the metric's unit). A point without any value has no lines.

    Raises:
        ConfigError: a metric that the rows do not have.
        DataError: a projection with rows of single heads only.
    """
    require_metric(rows, metric)
    rows = whole_matrices(rows)
    trusted = rows.filter("finite") if "finite" in rows.columns else rows
    of_sample = ("point_id", "sample_id", "question_id")
    values = (
        trusted.select(*of_sample, pl.col(metric).cast(pl.Float64).alias("value"))
        .filter(pl.col("value").is_finite())
        .group_by(of_sample)
        .agg(pl.col("value").mean())
        .with_columns(median=pl.col("value").median().over("point_id"))
    )
    distance = (pl.col("value") - pl.col("median")).abs()
    return (
        # Equals are the same ones in every run.
        values.sort(pl.col("point_id"), -distance, "sample_id")
        .group_by("point_id", maintain_order=True)
        .head(largest)
        .select(*of_sample, "value", "median")
    )
