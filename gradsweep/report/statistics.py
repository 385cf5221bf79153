"""All numbers of a report's tables as frames: one line per condition, projection and part."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from gradsweep.report.measures import Measures

STATISTIC_WORDS = {"mean": "mean", "mad": "MAD", "relative_mad": "MAD/mean"}
"""Columns of `statistics`, and what tables call them."""


def statistics(measures: Measures) -> pl.DataFrame:
    """Join all means and MADs, one line per condition, projection and part.

    Columns: metric, the axes, series, point_id, projection, part, mean, mad, relative_mad,
    n_layers, n_samples; of the mean over all layers, where there are several seeds, n_seeds,
    seed_low, seed_high; the 95 % intervals over questions of `part_intervals`.
    """
    of_mad = ("mad", "relative_mad", "n_differences")
    keys = [name for name in measures.mads.columns if name not in of_mad]
    joined = measures.means.join(
        measures.mads.drop("n_differences"), on=keys, how="left", maintain_order="left"
    )
    of_condition = [name for name in measures.seeds.columns if name in joined.columns]
    seeds = measures.seeds.with_columns(part=pl.lit("all"))
    joined = joined.join(seeds, on=[*of_condition, "part"], how="left", maintain_order="left")
    of_part = ["point_id", "projection", "part"]
    joined = joined.join(measures.intervals, on=of_part, how="left", maintain_order="left")
    numbers = ("n_layers", "n_samples", "n_seeds", "seed_low", "seed_high")
    ends = [name for name in measures.intervals.columns if name not in of_part]
    named = pl.lit(measures.metric).alias("metric")
    return joined.select(named, *keys, *STATISTIC_WORDS, *numbers, *ends)


def relative_differences(measures: Sequence[Measures]) -> pl.DataFrame:
    """Join RD of all metrics, one line per pair of points and projection.

    Columns: metric, then those of `relative_difference_means` with the layers as a text, rd_low and
    rd_high.
    """
    top = pl.col("top_layers").cast(pl.List(pl.String())).list.join(" ")
    return pl.concat(
        one.differences_over_layers.with_columns(top).select(
            pl.lit(one.metric).alias("metric"), pl.all()
        )
        for one in measures
    )
