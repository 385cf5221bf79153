"""A file of a reduced point that was damaged is none, wherever the damage is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gradsweep.store import reduced
from gradsweep.store.paths import PointPaths
from gradsweep.store.reduced import Reduced, read_reduced, write_reduced


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PointPaths:
    monkeypatch.setattr(reduced, "_checksums", lambda paths: ["rows", "samples"])
    paths = PointPaths(tmp_path, "0123456789abcdef")
    paths.folder.mkdir(parents=True)
    tables = {"t": pl.DataFrame({"a": [1, 2]})}
    write_reduced(paths, "code", Reduced({"k": 1}, {"v": np.arange(4.0)}, tables))
    return paths


def test_no_damaged_byte_is_an_error_or_another_number(written: PointPaths) -> None:
    whole = written.reduced.read_bytes()
    for place in range(len(whole)):
        for mask in (0x01, 0x08, 0xFF):
            damaged = bytearray(whole)
            damaged[place] ^= mask
            written.reduced.write_bytes(damaged)
            found = read_reduced(written, "code")
            assert found is None or found.arrays["v"].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_a_file_that_lost_its_end_is_none(written: PointPaths) -> None:
    whole = written.reduced.read_bytes()
    for length in range(len(whole)):
        written.reduced.write_bytes(whole[:length])
        assert read_reduced(written, "code") is None
