"""All numbers of a report, scope by scope: memory holds the rows of few models and datasets.

Of stored points that are done, they are kept beside the results (`gradsweep.store.kept_tables`):
the next report computes only scopes whose points are others by then. Numbers that were kept and
numbers that are computed are joined in the same way, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gradsweep.analysis.members import MEMBER_METRICS
from gradsweep.analysis.point_rows import SCOPE, PointRows, scopes
from gradsweep.analysis.rows import (
    require_metric,
    rows_with_values,
)
from gradsweep.records import (
    METRICS,
    POINT_LABELS,
    SAMPLE_METRICS,
    STUDY_OBJECTIVE,
)
from gradsweep.report.about_points import about_points, fields_of
from gradsweep.report.measures import Measures, compute_measures
from gradsweep.report.objectives import SHAPE
from gradsweep.report.scope_measures import LOSS, ReadScopes, Scope, ScopeRows
from gradsweep.store.frames import metric_columns
from gradsweep.store.kept_tables import KeptTables, Tables, key_of

TABLE_METRIC = "sigma_ratio"
"""The paper's tables have it beside the nuclear norm."""


@dataclass(frozen=True)
class Numbers:
    """What a report computes of points that are not trained."""

    measures: Mapping[str, Measures]
    """By metric: those that were asked for, then what tables and the page have beside them."""
    outliers: pl.DataFrame
    """Of `told_outliers`, by the first metric."""
    cut: pl.DataFrame
    """Of `cut_responses`."""
    members: pl.DataFrame
    """Of `member_means`, by the first metric."""
    with_heads: tuple[str, ...]
    """Points with rows of single heads."""
    layer_cosines: pl.DataFrame | None
    """Of `layer_cosines`; None where they were not measured."""
    n_rows: int
    """Rows of whole matrices."""
    n_flagged: int
    """Rows that failed their checksum."""

    def of(self, metrics: Sequence[str]) -> list[Measures]:
        """Return the measures of those of some metrics that there are."""
        return [self.measures[name] for name in metrics if name in self.measures]


_MOST_TOGETHER = 100_000
"""Rows of scopes that are computed together."""


class NumbersReader:
    """Computes numbers of points, or takes them as they were computed before."""

    def __init__(self, source: PointRows, results: Path | None = None) -> None:
        """Keep numbers in `results`, unless it is None."""
        self._source = source
        self._results = results
        self._scopes = tuple(self._keyed(points) for points in scopes(source.points))

    @property
    def n_scopes(self) -> int:
        return len(self._scopes)

    @property
    def _point_ids(self) -> list[str]:
        return [name for scope in self._scopes for name in scope.point_ids]

    def read(
        self,
        metrics: Sequence[str],
        advance: Callable[[], None] = lambda: None,
        *,
        most_rows: int | None = None,
    ) -> Numbers:
        """Compute everything, and call `advance` after each scope.

        Args:
            metrics: asked for; that of the tables, members' and the loss come by themselves.
            advance: called after each scope.
            most_rows: with no more rows than so many, all other metrics are there too, for curves.

        Raises:
            ConfigError: an unknown metric, or one without a value.
            DataError: damaged files; a projection with rows of single heads only.
        """
        if not self._scopes:
            return self._nothing(metrics)
        self._require_known(metrics)
        of_study = (self._source.points["objective"] == STUDY_OBJECTIVE).all()
        shape = () if of_study else (SHAPE,)
        wanted = tuple(dict.fromkeys((*metrics, TABLE_METRIC, *MEMBER_METRICS, *shape, LOSS)))
        most = most_rows or 0
        others = self._others(wanted) if most else ()
        at_once = bool(others) and self._source.n_rows(self._point_ids) <= most
        with self._keeping(wanted, others, metrics[0]) as (about, of_metric, curves):
            self._compute(about, of_metric, curves if at_once else {}, metrics[0], advance)
            found = about.joined()
            n_rows = int(found["about"]["n_rows"].sum())
            # Of points with rows of single heads, which do not count, too.
            if not at_once and n_rows <= most:
                self._compute(None, {}, curves, "")
        measures = {name: m for name, kept in of_metric.items() if (m := _measures(name, kept))}
        for metric in metrics:
            if metric not in measures:
                self._refuse(metric)
        if n_rows <= most:
            drawn = {name: m for name, kept in curves.items() if (m := _measures(name, kept))}
            measures |= {n: m for n, m in drawn.items() if m.curves["mean"].is_finite().any()}
        n_flagged = int(found["about"]["n_flagged"].sum())
        return Numbers(measures, n_rows=n_rows, n_flagged=n_flagged, **fields_of(found))

    def _others(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Metrics that are drawn alone, without what curves do without."""
        names = (*METRICS, *sorted(self._source.own_metrics(self._point_ids)))
        return tuple(name for name in names if name not in wanted)

    def _nothing(self, metrics: Sequence[str]) -> Numbers:
        rows = self._source.rows(())
        measures = {
            name: compute_measures(rows, name) for name in metrics if name not in SAMPLE_METRICS
        }
        found = about_points(rows, None, next(iter(metric_columns(rows))))
        return Numbers(measures, n_rows=0, n_flagged=0, **fields_of(found))

    @contextmanager
    def _keeping(
        self, metrics: Sequence[str], others: Sequence[str], first: str
    ) -> Iterator[tuple[_Kept, dict[str, _Kept], dict[str, _Kept]]]:
        """The tables of every kind; what was computed is kept, also when somebody stops it."""
        about = self._kept(f"points-{first}")
        of_metric = {name: self._kept(f"measures-{name}") for name in metrics}
        curves = {name: self._kept(f"curves-{name}") for name in others}
        try:
            yield about, of_metric, curves
        finally:
            for kept in (about, *of_metric.values(), *curves.values()):
                kept.save()

    def _kept(self, kind: str) -> _Kept:
        tables = None if self._results is None else KeptTables(self._results, kind)
        return _Kept(tables, self._scopes)

    def _compute(
        self,
        about: _Kept | None,
        of_metric: Mapping[str, _Kept],
        curves: Mapping[str, _Kept],
        first: str,
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        """Compute what is not known, of as many scopes together as memory holds."""
        held: list[ScopeRows] = []
        wanted = [*of_metric.values(), *curves.values(), *([] if about is None else [about])]
        for scope in self._scopes:
            if any(scope not in kept for kept in wanted):
                every = scope.several or bool(curves)
                held.append(
                    self._read_scope(scope, None if every else _of_rows([*of_metric, first]))
                )
            if sum(len(one.rows) for one in held) >= _MOST_TOGETHER:
                _add(held, about, of_metric, curves, first)
                held = []
            advance()
        _add(held, about, of_metric, curves, first)

    def _read_scope(self, scope: Scope, metrics: Sequence[str] | None) -> ScopeRows:
        rows = self._source.rows(scope.point_ids, metrics)
        return ScopeRows(scope, rows, self._source.samples(scope.point_ids))

    def _keyed(self, points: pl.DataFrame) -> Scope:
        ids = tuple(points["point_id"])
        key = None if self._results is None else self._source.key(ids)
        several = bool(points.select(*POINT_LABELS, "seed").is_duplicated().any())
        labels = points.select(SCOPE).row(0)
        return Scope(ids, labels, key or key_of("not kept", ids), key is not None, several)

    def _require_known(self, metrics: Sequence[str]) -> None:
        """Refuse a metric that no point can have before anything is computed."""
        unknown = set(metrics) - {*METRICS, *SAMPLE_METRICS}
        if unknown and (unknown := unknown - self._source.own_metrics(self._point_ids)):
            require_metric(self._source.rows(self._scopes[0].point_ids), min(unknown))

    def _refuse(self, metric: str) -> None:
        """Say of a metric without a value what would have measured it."""
        if metric not in SAMPLE_METRICS:
            rows_with_values(self._source.rows(self._scopes[0].point_ids), metric)


class _Kept:
    """The tables of one kind for all scopes, kept or of this report alone."""

    def __init__(self, tables: KeptTables | None, scopes: Sequence[Scope]) -> None:
        self._tables, self._scopes = tables, scopes
        self._own: dict[str, Tables] = {}

    def __contains__(self, scope: Scope) -> bool:
        return self._tables is not None and scope.key in self._tables

    def add(self, scope: Scope, tables: Tables) -> None:
        if self._tables is not None and scope.kept:
            self._tables.add(scope.key, tables)
        else:
            self._own[scope.key] = tables

    def save(self) -> None:
        if self._tables is not None:
            self._tables.save()

    def joined(self) -> dict[str, pl.DataFrame]:
        """The tables of all scopes, in reading order."""
        parts = [(scope.key, self._own.get(scope.key)) for scope in self._scopes]
        if self._tables is not None:
            return self._tables.joined(parts)
        names = dict.fromkeys(name for _, tables in parts if tables for name in tables)
        every = [tables for _, tables in parts if tables]
        return {
            name: pl.concat([one[name] for one in every if name in one], how="diagonal_relaxed")
            for name in names
        }


def _add(
    read: Sequence[ScopeRows],
    about: _Kept | None,
    of_metric: Mapping[str, _Kept],
    curves: Mapping[str, _Kept],
    first: str,
) -> None:
    """Compute what is not known of scopes that were read, and add it.

    `curves` are without summaries.
    """
    for one in read:
        if about is not None and one.scope not in about:
            about.add(one.scope, about_points(one.rows, one.samples, first))
    scopes = ReadScopes(read)
    for metric, kept in (*of_metric.items(), *curves.items()):
        todo = [one.scope for one in read if one.scope not in kept]
        summary = metric in of_metric
        for scope, tables in scopes.measures(todo, metric, summary=summary).items():
            kept.add(scope, tables)


def _measures(metric: str, kept: _Kept) -> Measures | None:
    """The measures of all scopes; None where none has the metric."""
    tables = kept.joined()
    known = bool(tables) and not tables["curves"].is_empty()
    return Measures(metric=metric, **tables) if known else None


def _of_rows(metrics: Sequence[str]) -> list[str]:
    """Those that rows have; loss is of samples."""
    return [name for name in dict.fromkeys(metrics) if name not in SAMPLE_METRICS]
