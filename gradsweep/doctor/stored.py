"""Rows of stored points that are looked at more than once: as such, and as others' siblings."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from pathlib import Path

import polars as pl

from gradsweep.analysis.questions import PointQuestions, point_questions
from gradsweep.analysis.rows import whole_matrices, whole_samples
from gradsweep.doctor.texts import Texts
from gradsweep.store import load_rows, load_samples_table
from gradsweep.store.points import folder_labels

_MOST_HELD = 12
"""Points whose rows are held: about the conditions of a model and dataset."""


METRIC = "nuclear_norm"
"""What points are compared by."""


class StoredPoint:
    """Rows of one point, and what they bring to each comparison that it is in."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self.rows = rows

    @cached_property
    def has_steps(self) -> bool:
        """Whether some of its samples are single steps of a response."""
        return len(whole_samples(self.rows)) < len(self.rows)

    @cached_property
    def questions(self) -> PointQuestions:
        """Its values by question; raises as `whole_matrices`."""
        return point_questions(whole_matrices(self.rows), METRIC)


class StoredPoints:
    """The points of a results folder as `doctor` reads them, one after the other in their order."""

    def __init__(self, results: Path, without: frozenset[str] = frozenset()) -> None:
        """Read none yet; `without` are the points whose record cannot be read."""
        self.results, self._without = results, without
        self.texts = Texts()
        """Of their data, read once."""
        self._held: OrderedDict[str, StoredPoint] = OrderedDict()

    @cached_property
    def labels(self) -> pl.DataFrame:
        """Names of all points of the folder (`folder_labels`) but those, planned or not."""
        labels = folder_labels(self.results, without=self._without)
        return labels.filter(~pl.col("point_id").is_in(list(self._without)))

    def samples(self, point_id: str) -> pl.DataFrame:
        """Read the samples of a point (`load_samples_table`)."""
        return load_samples_table(self.results, [point_id], labels=self.labels)

    def of(self, point_id: str) -> StoredPoint:
        """Read the rows of a point, as `load_rows` gives them; raises as it."""
        if point_id not in self._held:
            rows = load_rows(self.results, [point_id], labels=self.labels)
            self._held[point_id] = StoredPoint(rows)
            if len(self._held) > _MOST_HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(point_id)
        return self._held[point_id]
