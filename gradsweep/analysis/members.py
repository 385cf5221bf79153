"""Members' shares of a unit's gradient: the rows that every other analysis leaves out."""

from __future__ import annotations

import polars as pl

from gradsweep.analysis.conditions import conditions
from gradsweep.analysis.curves import curve_means, curves
from gradsweep.analysis.rows import with_every_axis
from gradsweep.records import POINT_LABELS

MEMBER_METRICS = ("member_cosine", "member_effective_rank")
"""What members' gradients are to each other, in the rows of their unit."""


def member_metrics(rows: pl.DataFrame) -> list[str]:
    """Name those of `MEMBER_METRICS` that have a value in `rows`."""
    there = [name for name in MEMBER_METRICS if name in rows.columns]
    return [name for name in there if rows[name].cast(pl.Float64).is_finite().any()]


def member_means(rows: pl.DataFrame, metric: str = "nuclear_norm") -> pl.DataFrame:
    """Average `metric` of members' shares over units and layers, then over projections.

    Seeds of a condition are pooled (`conditions`).

    Columns: `POINT_LABELS`, point_id, member, mean (in the metric's unit; NaN without a value),
    n_samples (units, in the projection that has fewest). No lines without rows of members.

    Raises:
        DataError: rows of one member differ in what is not known here.
    """
    labels = [*POINT_LABELS, "point_id"]
    schema = {**dict.fromkeys((*labels, "member"), pl.String()), "mean": pl.Float64()}
    if "member" not in rows.columns or rows["member"].null_count() == len(rows):
        return pl.DataFrame(schema={**schema, "n_samples": pl.Int64()})
    shares = conditions(with_every_axis(rows)).filter(pl.col("member").is_not_null())
    # A curve is of a point: here, of a member of it.
    named = shares.with_columns(
        point_id=pl.concat_list("point_id", "member").list.join("\n"),
        member=pl.lit(None, pl.String()),
    )
    means = curve_means(curves(named, metric, resamples=0)).with_columns(
        pl.col("point_id").str.split_exact("\n", 1).struct.rename_fields(["point_id", "member"])
        .struct.unnest()
    )  # fmt: skip
    return means.group_by([*labels, "member"], maintain_order=True).agg(
        pl.col("mean").mean(), pl.col("n_samples").min()
    )
