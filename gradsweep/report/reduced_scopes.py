"""Measures of scopes whose points are reduced (`gradsweep.report.reduced_points`): no row is read.

What the points have by themselves is joined, and pairs of them are computed from their values. The
numbers are those that the rows give, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from gradsweep.analysis.members import MEMBER_METRICS
from gradsweep.analysis.reduction import of_mean_loss
from gradsweep.analysis.relative_difference import layers_of_pairs
from gradsweep.analysis.resampling import resampled_values
from gradsweep.analysis.rows import CORRECT, in_reading_order
from gradsweep.analysis.seeds import between_seeds
from gradsweep.records import POINT_LABELS
from gradsweep.report.about_points import about_points
from gradsweep.report.measures import Measures, PointMeasures, with_pairs
from gradsweep.report.reduced_points import (
    MAIN_METRIC,
    REDUCED_METRICS,
    ReducedPoint,
    named_tables,
)
from gradsweep.report.scope_measures import Scope, cut_at_scopes
from gradsweep.report.stored_rows import StoredRows
from gradsweep.store.kept_tables import Tables

_LABELLED = (*POINT_LABELS, "point_id")


@dataclass(frozen=True)
class ReducedScopes:
    """Some scopes, and their points in the order of their ids."""

    scopes: Sequence[Scope]
    points: Mapping[str, ReducedPoint]
    names: pl.DataFrame
    """`POINT_LABELS` and point_id of the points, in the same order."""
    nothing: pl.DataFrame
    """Rows and their columns, without a line."""

    def measures(self, metric: str) -> dict[Scope, Tables] | None:
        """Compute the measures of a metric, with summary; None where rows are to be read."""
        if metric in MEMBER_METRICS:
            return {scope: {} for scope in self.scopes}
        if metric not in REDUCED_METRICS:
            return None
        of_points = self._of_points(metric)
        measures: Measures = with_pairs(of_points, self._pairs_of(of_points.curves))
        return dict(zip(self.scopes, cut_at_scopes(measures, self.scopes), strict=True))

    def about(self, metric: str) -> dict[Scope, Tables] | None:
        """Tell what `about_points` does; None where rows are to be read."""
        return {one: self._about(one) for one in self.scopes} if metric == MAIN_METRIC else None

    def _of_points(self, metric: str) -> PointMeasures:
        every = [*self.points.values()]
        values = [curve for point in every for curve in point.values(metric)]
        known = {name: of for point in every for name, of in point.over_layers(metric).items()}
        return PointMeasures(
            metric=metric,
            curves=in_reading_order(self._table(f"curves-{metric}", _LABELLED)),
            intervals=self._table(f"intervals-{metric}"),
            seeds=between_seeds(self.nothing, MAIN_METRIC),
            samples=self._table(f"samples-{metric}"),
            summed=self._summed(metric),
            values=values,
            questions=resampled_values(values, known=known),
        )

    def _table(self, name: str, columns: Sequence[str] = ("point_id",)) -> pl.DataFrame:
        return named_tables([*self.points.values()], self.names, name, columns)

    def _summed(self, metric: str) -> pl.DataFrame:
        """Of correct responses whose loss is the mean cross-entropy."""
        joined = self._table(f"summed-{metric}", _LABELLED)
        names = joined.select("objective", "series").unique().rows()
        of_mean = [name for name in names if of_mean_loss(*name)]
        schema = dict.fromkeys(("objective", "series"), pl.String())
        averaged = pl.DataFrame(of_mean, schema, orient="row")
        kept = joined.filter(pl.col("correctness") == CORRECT).join(
            averaged, on=["objective", "series"], how="semi", maintain_order="left"
        )
        return in_reading_order(kept)

    def _pairs_of(self, curves: pl.DataFrame) -> pl.DataFrame:
        return self._pairs if len(curves) == len(self._curves) else layers_of_pairs(curves)

    @cached_property
    def _curves(self) -> pl.DataFrame:
        return self._table(f"curves-{MAIN_METRIC}", _LABELLED)

    @cached_property
    def _pairs(self) -> pl.DataFrame:
        """Of the metrics of weights, which have the same layers."""
        return layers_of_pairs(self._curves)

    @cached_property
    def _nothing_about(self) -> Tables:
        return about_points(self.nothing, None, MAIN_METRIC)

    def _about(self, scope: Scope) -> Tables:
        ids = sorted(scope.point_ids)
        points = [self.points[name] for name in ids]
        names = self.names.filter(pl.col("point_id").is_in(ids))
        counts = {
            name: [sum(point.reduced.about[name] for point in points)]
            for name in ("n_rows", "n_flagged")
        }
        cut = named_tables(points, names, "cut", ("point_id", *POINT_LABELS))
        return {
            **self._nothing_about,
            "about": pl.DataFrame(counts, schema=dict.fromkeys(counts, pl.Int64())),
            "outliers": named_tables(points, names, "outliers", ("point_id",)),
            "cut": cut,
        }


def reduced_scopes(source: StoredRows, scopes: Sequence[Scope]) -> ReducedScopes | None:
    """Read those scopes of which every point is reduced; None where there is none.

    Raises:
        DataError: a file is not as the finished point wrote it.
    """
    points: dict[str, ReducedPoint] = {}
    found = []
    for scope in scopes:
        of_scope = {} if scope.pooled else {n: source.reduced(n) for n in scope.point_ids}
        whole = {name: point for name, point in of_scope.items() if point is not None}
        if len(whole) == len(scope.point_ids):
            found.append(scope)
            points |= whole
    if not found:
        return None
    points = dict(sorted(points.items()))
    names = source.points.filter(pl.col("point_id").is_in([*points])).sort("point_id")
    return ReducedScopes(found, points, names.select(_LABELLED), source.rows(()))
