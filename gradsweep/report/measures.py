"""What tables and figures draw from: computed once for each metric, for all points together."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from gradsweep.analysis import (
    curves,
    mean_absolute_difference,
    part_means,
    relative_difference,
    relative_difference_means,
)
from gradsweep.analysis.conditions import rows_with_values


@dataclass(frozen=True)
class Measures:
    """One metric's curves and what follows from them; every frame is in reading order."""

    metric: str
    curves: pl.DataFrame
    """With bootstrap intervals (`gradsweep.analysis.curves`)."""
    means: pl.DataFrame
    """By part (`part_means`)."""
    mads: pl.DataFrame
    """By part (`mean_absolute_difference`)."""
    differences: pl.DataFrame
    """RD by layer (`relative_difference`)."""
    differences_over_layers: pl.DataFrame
    """RD averaged, with the five layers where it is largest (`relative_difference_means`)."""


def measures(rows: pl.DataFrame, metric: str) -> Measures:
    """Raises `ConfigError` for an unknown metric, one without any value in `rows`, or when two
    points share all four axes.
    """
    rows = rows_with_values(rows, metric)
    # First, because it checks that every condition is one point.
    differences = relative_difference(rows, metric)
    by_layer = curves(rows, metric)
    return Measures(
        metric=metric,
        curves=by_layer,
        means=part_means(by_layer),
        mads=mean_absolute_difference(by_layer),
        differences=differences,
        differences_over_layers=relative_difference_means(differences),
    )
