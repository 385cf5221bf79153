"""A finished point in a person's hands."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import polars as pl

from gradsweep.records import Axes
from gradsweep.store.paths import PointPaths
from gradsweep.store.read import load_rows, load_samples_table


@dataclass(frozen=True)
class PointResult:
    """A finished point, for notebooks and scripts."""

    axes: Axes
    paths: PointPaths

    def rows(self) -> pl.DataFrame:
        """One line per (sample, layer, projection)."""
        return load_rows(self.paths.results, [self.paths.point_id])

    def samples(self) -> pl.DataFrame:
        """One line per sample: status, reason, loss and token counts."""
        return load_samples_table(self.paths.results, [self.paths.point_id])

    def __repr__(self) -> str:
        return f"PointResult({self.axes}; {self.paths.folder}; .rows(), .samples())"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>{self.rows()._repr_html_()}"
