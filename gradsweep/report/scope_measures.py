"""Measures of several scopes: computed together, kept apart.

No number of a scope depends on what else is computed with it, bit for bit; but tens of thousands of
operations on small frames become hundreds on larger ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields

import polars as pl

from gradsweep.analysis.point_rows import SCOPE
from gradsweep.records import METRICS, OPTIONAL_METRICS
from gradsweep.report.measures import Measures, loss_measures, measures_of
from gradsweep.report.together import Together
from gradsweep.store.frames import metric_columns
from gradsweep.store.kept_tables import Tables

LOSS = "loss"

_FRAMES = tuple(f.name for f in fields(Measures) if f.name != "metric")


@dataclass(frozen=True)
class Scope:
    """A model and dataset of one objective and series."""

    point_ids: tuple[str, ...]
    labels: tuple[str, ...]
    """Its values of `SCOPE`."""
    key: str
    kept: bool
    """Whether its numbers may be kept: its points are done."""
    pooled: bool
    """Whether a condition has several points."""


@dataclass(frozen=True)
class ScopeRows:
    """A scope that has been read."""

    scope: Scope
    rows: pl.DataFrame
    samples: pl.DataFrame | None

    def has(self, metric: str) -> bool:
        """Tell whether a point of it can have the metric."""
        if metric == LOSS:
            return self.samples is not None
        if metric not in metric_columns(self.rows):
            return False
        optional = metric not in METRICS or metric in OPTIONAL_METRICS
        return not optional or bool(self.rows[metric].cast(pl.Float64).is_finite().any())


class ReadScopes:
    """Scopes that were read, of which several metrics are computed."""

    def __init__(self, read: Sequence[ScopeRows]) -> None:
        self._read = read
        self._together: dict[tuple[Scope, ...], Together] = {}

    def __iter__(self) -> Iterator[ScopeRows]:
        return iter(self._read)

    def measures(
        self, scopes: Collection[Scope], metric: str, *, summary: bool
    ) -> dict[Scope, Tables]:
        """Compute the measures of a metric in some of the scopes; empty where no point has any.

        Args:
            scopes: of those that were read.
            metric: of rows, or the loss.
            summary: as in `compute_measures`.
        """
        having = [one for one in self._read if one.scope in scopes and one.has(metric)]
        measures = self._of(having, metric, summary) if having else None
        found: dict[Scope, Tables] = {scope: {} for scope in scopes}
        if measures is not None:
            names = [one.scope for one in having]
            found |= zip(names, cut_at_scopes(measures, names), strict=True)
        return found

    def _of(self, read: Sequence[ScopeRows], metric: str, summary: bool) -> Measures | None:
        if metric == LOSS:
            return loss_measures(_samples(read))
        scopes = tuple(one.scope for one in read)
        if scopes not in self._together:
            rows = pl.concat([one.rows for one in read], how="diagonal_relaxed")
            self._together[scopes] = Together(rows, _samples(read))
        return measures_of(self._together[scopes], metric, summary=summary)


def _samples(read: Sequence[ScopeRows]) -> pl.DataFrame | None:
    sampled = [one.samples for one in read if one.samples is not None]
    return pl.concat(sampled, how="diagonal_relaxed") if sampled else None


def cut_at_scopes(measures: Measures, scopes: Sequence[Scope]) -> list[Tables]:
    """Cut every frame at its scopes; a scope without a curve has nothing."""
    cut = {name: _parts(getattr(measures, name), scopes) for name in _FRAMES}
    tables = [{name: cut[name][place] for name in _FRAMES} for place in range(len(scopes))]
    return [{} if one["curves"].is_empty() else one for one in tables]


def _parts(frame: pl.DataFrame, scopes: Sequence[Scope]) -> list[pl.DataFrame]:
    if "point_id" in frame.columns:
        names = {name: place for place, scope in enumerate(scopes) for name in scope.point_ids}
        place = frame["point_id"].replace_strict(names, return_dtype=pl.Int64())
    else:
        labels = {scope.labels: place for place, scope in enumerate(scopes)}
        found = [labels[line] for line in frame.select(SCOPE).iter_rows()]
        place = pl.Series(found, dtype=pl.Int64())
    parts = frame.with_columns(place.alias("_place")).partition_by(
        "_place", as_dict=True, maintain_order=True, include_key=False
    )
    return [parts.get((place,), frame.clear()) for place in range(len(scopes))]
