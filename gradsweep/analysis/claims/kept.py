"""Estimates of claims that were computed before, kept beside the results."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gradsweep.analysis.claims.estimate import Estimate
from gradsweep.store.kept_tables import kept_file, read_tables, write_tables

_TABLE = "estimates"
_SCHEMA = {
    "key": pl.String(),
    "n_questions": pl.Int64(),
    "n_left_out": pl.Int64(),
    "withheld": pl.String(),
    "problem": pl.String(),
    "resampled": pl.List(pl.Float64()),
}
_OTHERS = ("key", "resampled")
"""Columns that are not the fields of an estimate behind its numbers, in their order."""


class KeptEstimates:
    """Estimates by key (`gradsweep.analysis.claims.estimate.Estimator`), in a results folder."""

    def __init__(self, results: Path) -> None:
        self._file = kept_file(results, _TABLE)
        _, tables = read_tables(self._file)
        self._before = tables.get(_TABLE, pl.DataFrame(schema=_SCHEMA))
        self._place = {key: place for place, key in enumerate(self._before["key"])}
        numbers = self._before["resampled"]
        self._flat = numbers.drop_nulls().explode().to_numpy()
        self._ends = numbers.list.len().fill_null(0).cum_sum().to_list()
        self._columns = [self._before[name].to_list() for name in _SCHEMA if name not in _OTHERS]
        self._there = numbers.is_not_null().to_list()
        self._new: dict[str, Estimate] = {}

    def get(self, key: str) -> Estimate | None:
        if key in self._new:
            return self._new[key]
        if key not in self._place:
            return None
        place = self._place[key]
        start = self._ends[place - 1] if place else 0
        resampled = self._flat[start : self._ends[place]] if self._there[place] else None
        return Estimate(resampled, *(column[place] for column in self._columns))

    def put(self, key: str, estimate: Estimate) -> None:
        self._new[key] = estimate

    def save(self) -> None:
        """Write what is new."""
        if not self._new:
            return
        lines = [
            (key, one.n_questions, one.n_left_out, one.withheld, one.problem,
             None if one.resampled is None else one.resampled.tolist())
            for key, one in self._new.items()
        ]  # fmt: skip
        added = pl.DataFrame(lines, schema=_SCHEMA, orient="row")
        write_tables(self._file, (), {_TABLE: pl.concat([self._before, added])})
