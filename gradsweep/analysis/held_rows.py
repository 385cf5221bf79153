"""Points whose rows are asked for again and again: those read lately are held."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field

import polars as pl

from gradsweep.analysis.point_rows import OtherRows
from gradsweep.analysis.point_values import PointCurves

_MOST_HELD = 400_000
"""Rows that are held (some 100 MB)."""


@dataclass(frozen=True)
class HeldRows(OtherRows):
    """The points of `source`, whose rows are read once while there are not too many of them."""

    metrics: tuple[str, ...]
    """That will be asked for; rows with others are read anew."""
    _rows: OrderedDict[str, pl.DataFrame] = field(default_factory=OrderedDict, repr=False)

    def rows(
        self, point_ids: Collection[str], metrics: Collection[str] | None = None
    ) -> pl.DataFrame:
        if not point_ids or metrics is None or not set(metrics) <= set(self.metrics):
            return self.source.rows(point_ids, metrics)
        for name in point_ids:
            if name not in self._rows:
                self._rows[name] = self.source.rows([name], self.metrics)
            self._rows.move_to_end(name)
        found = pl.concat([self._rows[name] for name in point_ids], how="diagonal")
        while len(self._rows) > 1 and sum(map(len, self._rows.values())) > _MOST_HELD:
            self._rows.popitem(last=False)
        return found

    def key(self, point_ids: Collection[str]) -> str | None:
        return self.source.key(point_ids)

    def known(self, point_id: str, metric: str) -> PointCurves | None:
        return self.source.known(point_id, metric)
