"""Conditions of which several metrics are asked: their rows are read and sorted once for all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from gradsweep.analysis.complete import SortedRows
from gradsweep.analysis.conditions import conditions
from gradsweep.analysis.point_rows import (
    Conditions,
    FrameConditions,
    PointRows,
    asked_questions,
    conditions_of,
)
from gradsweep.analysis.point_values import PointValues
from gradsweep.analysis.questions import arranged
from gradsweep.analysis.rows import whole_matrices

_MOST_HELD = 1_000_000
"""Rows that are held (some 100 MB): what more is looked at, is read again."""
_NAMES = ("point_id", "projection", "sample_id", "question_id", "layer", "finite")


@dataclass
class _Batch:
    """Conditions that were read together."""

    rows: SortedRows
    asked: Mapping[str, tuple[str, ...]]
    metric: str = ""
    """That `values` are of: the one that was asked for last."""
    values: Mapping[str, PointValues] = field(default_factory=dict)

    def of(self, metric: str) -> Mapping[str, PointValues]:
        if metric != self.metric:
            found = arranged(self.rows.curves(metric))
            self.values = {n: PointValues(found.get(n, {}), of) for n, of in self.asked.items()}
            self.metric = metric
        return self.values


@dataclass(frozen=True)
class HeldConditions(Conditions):
    """Conditions that hold the rows they have read lately."""

    metrics: tuple[str, ...] = ()
    """That will be asked for."""
    _held: OrderedDict[tuple[str, ...], _Batch] = field(default_factory=OrderedDict, repr=False)

    def values(self, point_ids: Collection[str], metric: str) -> dict[str, PointValues]:
        batches = {name: ids for ids in self._held for name in ids}
        if new := tuple(name for name in point_ids if name not in batches):
            self._held[new] = self._read(new)
            batches |= dict.fromkeys(new, new)
        found = {name: self._held[batches[name]].of(metric)[name] for name in point_ids}
        for name in point_ids:
            self._held.move_to_end(batches[name])
        while len(self._held) > 1 and self._n_rows() > _MOST_HELD:
            self._held.popitem(last=False)
        return found

    def _read(self, point_ids: tuple[str, ...]) -> _Batch:
        members = [member for name in point_ids for member in self.members[name]]
        rows = whole_matrices(conditions(self.source.rows(members, self.metrics)))
        kept = [name for name in (*_NAMES, *self.metrics) if name in rows.columns]
        asked = asked_questions(rows)
        return _Batch(
            SortedRows(rows.select(kept)), {name: asked.get(name, ()) for name in point_ids}
        )

    def _n_rows(self) -> int:
        return sum(len(batch.rows.rows) for batch in self._held.values())


def held(source: PointRows, metrics: Collection[str]) -> Conditions:
    """Find the conditions of points (`conditions_of`), which hold the rows that they read.

    Args:
        source: the points.
        metrics: that will be asked for.
    """
    found = conditions_of(source)
    if isinstance(found, FrameConditions):
        return found
    return HeldConditions(found.source, found.points, found.members, tuple(metrics))
