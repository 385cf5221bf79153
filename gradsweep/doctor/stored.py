"""Rows of stored points that are looked at more than once: as such, and as others' siblings."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from gradsweep.doctor.texts import Texts
from gradsweep.store import load_rows, load_samples_table
from gradsweep.store.points import folder_labels

_MOST_HELD = 12
"""Points whose rows are held: about the conditions of a model and dataset."""


class StoredPoints:
    """The points of a results folder as `doctor` reads them, one after the other in their order."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.labels = folder_labels(results)
        self.texts = Texts()
        """Of their data, read once."""
        self._held: OrderedDict[str, pl.DataFrame] = OrderedDict()

    def rows(self, point_ids: Iterable[str]) -> pl.DataFrame:
        """Read the rows of some points, as `load_rows` gives them; raises as it."""
        return pl.concat([self._of(name) for name in point_ids], how="diagonal")

    def samples(self, point_id: str) -> pl.DataFrame:
        """Read the samples of a point (`load_samples_table`)."""
        return load_samples_table(self.results, [point_id], labels=self.labels)

    def _of(self, point_id: str) -> pl.DataFrame:
        if point_id not in self._held:
            self._held[point_id] = load_rows(self.results, [point_id], labels=self.labels)
            if len(self._held) > _MOST_HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(point_id)
        return self._held[point_id]
