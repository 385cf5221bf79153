"""Numbers of a results folder, read as a report does, and compared bit for bit."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from gradsweep.report.numbers import Numbers, NumbersReader
from gradsweep.report.stored_rows import stored_rows
from gradsweep.store.selection import Selection


def read_numbers(results: Path, *, kept: bool = True) -> Numbers:
    """Read what a report has of all points; numbers of before count where they may be `kept`."""
    source = stored_rows(Selection(results))
    reader = NumbersReader(source, results if kept else None)
    return reader.read(["nuclear_norm"], most_rows=10_000)


def assert_same_numbers(one: Numbers, other: Numbers) -> None:
    assert list(one.measures) == list(other.measures)
    for name, measures in one.measures.items():
        for field, frame in vars(measures).items():
            if isinstance(frame, pl.DataFrame):
                key = [n for n in frame.columns if frame.schema[n] in (pl.String(), pl.Int32())]
                twin = getattr(other.measures[name], field)
                assert_frame_equal(frame.sort(key), twin.sort(key), check_exact=True)
    for name in ("outliers", "cut", "members"):
        assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    assert (one.n_rows, one.n_flagged) == (other.n_rows, other.n_flagged)
