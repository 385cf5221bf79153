"""The few numbers that stand for a whole point in run tables and summaries."""

from __future__ import annotations

import polars as pl

from gradsweep.analysis.curves import curve_means, curves
from gradsweep.analysis.mad import mean_absolute_difference
from gradsweep.records import AXES, METRICS


def summary_scalars(rows: pl.DataFrame) -> dict[str, float]:
    """`<metric>_mean_<projection>` and `mad_<metric>_<projection>` of one point's rows.

    Means are over layers of the mean curve (`curves`). A metric without any value in a projection
    (a cosine that was not asked for) has no scalars. `rows` needs no columns for point and axes.
    """
    of_one_point = rows.with_columns(pl.lit("").alias(name) for name in ("point_id", *AXES))
    scalars: dict[str, float] = {}
    for metric in METRICS:
        has_value = pl.col(metric).cast(pl.Float64).is_finite()
        curve = curves(of_one_point.filter(has_value), metric, resamples=0)
        for row in curve_means(curve).iter_rows(named=True):
            scalars[f"{metric}_mean_{row['projection']}"] = row["mean"]
        unevenness = mean_absolute_difference(curve).filter(part="all")
        for row in unevenness.iter_rows(named=True):
            scalars[f"mad_{metric}_{row['projection']}"] = row["mad"]
    return scalars
