"""Scopes whose numbers are computed together: here, or by other processes that have nothing to do.

No number of a scope depends on what else is in its batch, or on who computes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from gradsweep.analysis.point_rows import PointRows
from gradsweep.report.about_points import about_points
from gradsweep.report.processes import unless_killed
from gradsweep.report.reduced_scopes import reduced_scopes
from gradsweep.report.scope_measures import ReadScopes, Scope, ScopeRows
from gradsweep.report.stored_rows import StoredRows
from gradsweep.store.kept_tables import Tables

MOST_TOGETHER = 100_000
"""Rows of scopes that are computed together."""


@dataclass(frozen=True)
class Kind:
    """What is computed of a scope: the measures of a metric, or what is said about its points."""

    metric: str
    """Of `about_points` the report's first."""
    about: bool = False
    summary: bool = True
    """Of measures: as in `compute_measures`."""

    @property
    def name(self) -> str:
        """What its tables are kept under."""
        if self.about:
            return f"points-{self.metric}"
        return f"{'measures' if self.summary else 'curves'}-{self.metric}"


Computed = list[tuple[Kind, Scope, Tables]]


@dataclass(frozen=True)
class Batch:
    """Scopes that are computed together."""

    todo: Mapping[Scope, frozenset[Kind]]
    kinds: tuple[Kind, ...]
    """All kinds, in their order."""
    metrics: tuple[str, ...] | None
    """Of rows, those that are read; all when None."""

    def compute(self, source: PointRows) -> Computed:
        """Compute what there is to do of the scopes, and read the rows of those that need it."""
        found = self._of_reduced(source)
        done = {(kind, scope) for kind, scope, _ in found}
        left = {
            scope: kinds
            for scope, of_scope in self.todo.items()
            if (kinds := {kind for kind in of_scope if (kind, scope) not in done})
        }
        return [*found, *(self._of_rows(source, left) if left else ())]

    def _of_reduced(self, source: PointRows) -> Computed:
        read = reduced_scopes(source, [*self.todo]) if isinstance(source, StoredRows) else None
        found: Computed = []
        for kind in self.kinds if read is not None else ():
            assert read is not None
            of_scopes = None
            if kind.about:
                of_scopes = read.about(kind.metric)
            elif kind.summary:
                of_scopes = read.measures(kind.metric)
            asked = [scope for scope in of_scopes or () if kind in self.todo[scope]]
            found += [(kind, scope, (of_scopes or {})[scope]) for scope in asked]
        return found

    def _of_rows(self, source: PointRows, todo: Mapping[Scope, Collection[Kind]]) -> Computed:
        parts = _parts(todo, source.n_rows)
        return [found for part in parts for found in self._of_few(source, part)]

    def _of_few(self, source: PointRows, todo: Mapping[Scope, Collection[Kind]]) -> Computed:
        read = [
            ScopeRows(one, source.rows(one.point_ids, self.metrics), source.samples(one.point_ids))
            for one in todo
        ]
        together, found = ReadScopes(read), []
        for kind in self.kinds:
            asked = [one for one in read if kind in todo[one.scope]]
            if kind.about:
                found += [
                    (kind, one.scope, about_points(one.rows, one.samples, kind.metric))
                    for one in asked
                ]
            elif asked:
                scopes = [one.scope for one in asked]
                of_scopes = together.measures(scopes, kind.metric, summary=kind.summary)
                found += [(kind, scope, tables) for scope, tables in of_scopes.items()]
        return found


class Helper(Protocol):
    """Other processes."""

    def is_free(self) -> bool:
        """Tell whether one of them has nothing to do."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]: ...


Todo = TypeVar("Todo", bound=Collection[Kind])


def batches(
    todo: Mapping[Scope, frozenset[Kind]],
    kinds: Sequence[Kind],
    source: PointRows,
    metrics: tuple[str, ...] | None,
) -> Iterator[Batch]:
    """Cut what is to do into batches of some `MOST_TOGETHER` rows.

    Args:
        todo: kinds by scope.
        kinds: all of them, in their order.
        source: has the points.
        metrics: that are read of rows, all when None.
    """
    size = source.n_to_read if isinstance(source, StoredRows) else source.n_rows
    for part in _parts(todo, size):
        yield Batch(part, tuple(kinds), metrics)


def _parts(
    todo: Mapping[Scope, Todo], n_rows: Callable[[Collection[str]], int]
) -> Iterator[dict[Scope, Todo]]:
    held: dict[Scope, Todo] = {}
    size = 0
    for scope, of_scope in todo.items():
        held[scope] = of_scope
        size += n_rows(scope.point_ids)
        if size >= MOST_TOGETHER:
            yield held
            held, size = {}, 0
    if held:
        yield held


def compute_each(
    source: PointRows, every: Sequence[Batch], helper: Helper | None
) -> Iterator[tuple[Batch, Computed]]:
    """Compute batches in any order: from the first on here, from the last on in other processes.

    What a process leaves that is killed is computed here.
    """
    left, begun = deque(every), dict[Future[Computed], Batch]()
    while left or begun:
        while left and helper is not None and helper.is_free():
            batch = left.pop()
            begun[helper.submit(batch.compute, source)] = batch
        if left:
            first = left.popleft()
            yield first, first.compute(source)
        else:
            wait(begun, return_when=FIRST_COMPLETED)
        for future in [one for one in begun if one.done()]:
            batch = begun.pop(future)
            computed = unless_killed(future)
            yield batch, batch.compute(source) if computed is None else computed
