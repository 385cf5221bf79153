"""Measures of several scopes: computed together, kept apart.

No number of a scope depends on what else is computed with it, bit for bit; but tens of thousands of
operations on small frames become hundreds on larger ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import polars as pl

from gradsweep.analysis.point_rows import SCOPE
from gradsweep.records import METRICS, OPTIONAL_METRICS
from gradsweep.report.measures import Measures, compute_measures, loss_measures
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
    several: bool
    """Whether a condition has several points of one seed: all of their metrics tell which of them
    has measured least."""


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


def scope_measures(read: Sequence[ScopeRows], metric: str, *, summary: bool) -> list[Tables]:
    """Compute the measures of a metric in each scope; empty where no point of it has any.

    Args:
        read: the scopes.
        metric: of rows, or the loss.
        summary: as in `compute_measures`.
    """
    having = [one for one in read if one.has(metric)]
    measures = _measures(having, metric, summary) if having else None
    scopes = [one.scope for one in having]
    tables = {} if measures is None else dict(zip(scopes, _cut(measures, scopes), strict=True))
    return [tables.get(one.scope, {}) for one in read]


def _measures(read: Sequence[ScopeRows], metric: str, summary: bool) -> Measures | None:
    sampled = [one.samples for one in read if one.samples is not None]
    samples = pl.concat(sampled, how="diagonal_relaxed") if sampled else None
    if metric == LOSS:
        return loss_measures(samples)
    rows = pl.concat([one.rows for one in read], how="diagonal_relaxed")
    return compute_measures(rows, metric, samples=samples, summary=summary)


def _cut(measures: Measures, scopes: Sequence[Scope]) -> list[Tables]:
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
