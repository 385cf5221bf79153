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
from gradsweep.report.number_batches import Helper, Kind, batches, compute_each
from gradsweep.report.objectives import SHAPE
from gradsweep.report.scope_measures import LOSS, Scope
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
        helper: Helper | None = None,
    ) -> Numbers:
        """Compute everything, and call `advance` after each scope.

        Args:
            metrics: asked for; that of the tables, members' and the loss come by themselves.
            advance: called after each scope.
            most_rows: with no more rows than so many, all other metrics are there too, for curves.
            helper: processes that compute, too.

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
        summed = [Kind(metrics[0], about=True), *(Kind(name) for name in wanted)]
        drawn: list[Kind] = []
        with self._keeping(summed) as kept:
            if most and self._lack(kept, summed) and self._n_rows() <= most:
                drawn = self._drawn(wanted, kept)
            self._compute(kept, advance, helper)
            found = kept[summed[0]].joined()
            n_rows = int(found["about"]["n_rows"].sum())
            # Of points with rows of single heads, which do not count, too.
            if most and n_rows <= most and not drawn:
                drawn = self._drawn(wanted, kept)
                self._compute({kind: kept[kind] for kind in drawn}, helper=helper)
        measures = _measures_of({kind: kept[kind] for kind in summed[1:]})
        for metric in metrics:
            if metric not in measures:
                self._refuse(metric)
        curves = _measures_of({kind: kept[kind] for kind in drawn})
        measures |= {n: m for n, m in curves.items() if m.curves["mean"].is_finite().any()}
        n_flagged = int(found["about"]["n_flagged"].sum())
        return Numbers(measures, n_rows=n_rows, n_flagged=n_flagged, **fields_of(found))

    def _n_rows(self) -> int:
        return self._source.n_rows(self._point_ids)

    def _lack(self, kept: Mapping[Kind, _Kept], kinds: Sequence[Kind]) -> bool:
        return any(scope not in kept[kind] for scope in self._scopes for kind in kinds)

    def _drawn(self, wanted: Sequence[str], kept: dict[Kind, _Kept]) -> list[Kind]:
        """Metrics that are drawn alone, without what curves do without; add them to `kept`."""
        names = (*METRICS, *sorted(self._source.own_metrics(self._point_ids)))
        kinds = [Kind(name, summary=False) for name in names if name not in wanted]
        kept |= {kind: self._kept(kind.name) for kind in kinds}
        return kinds

    def _nothing(self, metrics: Sequence[str]) -> Numbers:
        rows = self._source.rows(())
        measures = {
            name: compute_measures(rows, name) for name in metrics if name not in SAMPLE_METRICS
        }
        found = about_points(rows, None, next(iter(metric_columns(rows))))
        return Numbers(measures, n_rows=0, n_flagged=0, **fields_of(found))

    @contextmanager
    def _keeping(self, kinds: Sequence[Kind]) -> Iterator[dict[Kind, _Kept]]:
        """The tables of every kind; what was computed is kept, also when somebody stops it."""
        every = {kind: self._kept(kind.name) for kind in kinds}
        try:
            yield every
        finally:
            for kept in every.values():
                kept.save()

    def _kept(self, kind: str) -> _Kept:
        tables = None if self._results is None else KeptTables(self._results, kind)
        return _Kept(tables, self._scopes)

    def _compute(
        self,
        kept: Mapping[Kind, _Kept],
        advance: Callable[[], None] = lambda: None,
        helper: Helper | None = None,
    ) -> None:
        """Compute what is not known, of as many scopes together as memory holds."""
        todo = {
            scope: lacking
            for scope in self._scopes
            if (lacking := frozenset(kind for kind in kept if scope not in kept[kind]))
        }
        for _ in range(len(self._scopes) - len(todo)):
            advance()
        every = not all(kind.summary for kind in kept)
        metrics = None if every else tuple(_of_rows([kind.metric for kind in kept]))
        for batch, computed in compute_each(
            self._source, [*batches(todo, [*kept], self._source, metrics)], helper
        ):
            for kind, scope, tables in computed:
                kept[kind].add(scope, tables)
            for _ in batch.todo:
                advance()

    def _keyed(self, points: pl.DataFrame) -> Scope:
        ids = tuple(points["point_id"])
        key = None if self._results is None else self._source.key(ids)
        pooled = bool(points.select(POINT_LABELS).is_duplicated().any())
        labels = points.select(SCOPE).row(0)
        return Scope(ids, labels, key or key_of("not kept", ids), key is not None, pooled)

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


def _measures_of(every: Mapping[Kind, _Kept]) -> dict[str, Measures]:
    """The measures of all scopes by metric, of those metrics that one has."""
    found = {}
    for kind, kept in every.items():
        tables = kept.joined()
        if tables and not tables["curves"].is_empty():
            found[kind.metric] = Measures(metric=kind.metric, **tables)
    return found


def _of_rows(metrics: Sequence[str]) -> list[str]:
    """Those that rows have; loss is of samples."""
    return [name for name in dict.fromkeys(metrics) if name not in SAMPLE_METRICS]
