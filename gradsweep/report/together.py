"""Rows of which several metrics are computed: what all of them take is made once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from gradsweep.analysis import conditions
from gradsweep.analysis.complete import SortedRows
from gradsweep.analysis.curves import places_of_curves
from gradsweep.analysis.relative_difference import layers_of_pairs
from gradsweep.analysis.rows import with_every_axis
from gradsweep.analysis.sample_metrics import rows_of_metric
from gradsweep.records import SAMPLE_METRICS


@dataclass(frozen=True)
class Together:
    """Rows, and samples where there are some."""

    rows: pl.DataFrame
    samples: pl.DataFrame | None = None

    def of(self, metric: str) -> Together:
        """Take the rows that have a metric: these, or the samples' (`sample_rows`)."""
        of_samples = metric in SAMPLE_METRICS and self.samples is not None
        return Together(rows_of_metric(metric, self.rows, self.samples)) if of_samples else self

    @cached_property
    def conditions(self) -> pl.DataFrame:
        return conditions(with_every_axis(self.rows))

    @cached_property
    def sorted(self) -> SortedRows:
        return SortedRows(self.conditions)

    @cached_property
    def places(self) -> pl.DataFrame:
        return places_of_curves(self.sorted.rows)

    @cached_property
    def pairs(self) -> pl.DataFrame:
        return layers_of_pairs(self.sorted.rows)

    @cached_property
    def n_samples(self) -> pl.DataFrame:
        of_curve = self.conditions.group_by("point_id", "projection", maintain_order=True)
        return of_curve.agg(n_samples=pl.col("sample_id").n_unique())
