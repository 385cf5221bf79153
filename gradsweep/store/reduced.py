"""What a report reads of one point alone, made once: results/points/<id>/reduced.zip.

It rests on the point's rows and samples, whose checksums it has, and on the code that made it. A
file that rests on others, was made by other code or is damaged is none: the numbers are computed
from the rows. It says nothing that they do not, and can be deleted whenever.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.store.atomic import write_bytes
from gradsweep.store.checksums import finished_checksums
from gradsweep.store.paths import PointPaths

_HEAD = "about.json"
_ARRAY, _TABLE = ".f8", ".arrow"
_DAMAGED = (
    *(OSError, KeyError, TypeError, ValueError, EOFError, RuntimeError),
    *(zlib.error, zipfile.BadZipFile, pl.exceptions.PolarsError),
)
"""What reading a damaged file may raise."""


@dataclass(frozen=True)
class Reduced:
    """What such a file holds."""

    about: Mapping[str, Any]
    """Whatever JSON knows."""
    arrays: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Flat arrays by name."""
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)


def write_reduced(paths: PointPaths, code: str, reduced: Reduced) -> None:
    """Write the file of a finished point, whole or not at all.

    Args:
        paths: of the point.
        code: what made it (`gradsweep.versions.digest_of`).
        reduced: what it is to hold.

    Raises:
        StoreError: the disk is full, or the folder cannot be written.
    """
    head = {"code": code, "checksums": _checksums(paths), "about": reduced.about}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in _members(reduced):
            # Without the time of day: the same point has the same bytes.
            archive.writestr(zipfile.ZipInfo(name), content)
        archive.writestr(zipfile.ZipInfo(_HEAD), json.dumps(head))
    write_bytes(paths.reduced, buffer.getvalue())


def _members(reduced: Reduced) -> Iterator[tuple[str, bytes]]:
    for name, array in reduced.arrays.items():
        yield name + _ARRAY, np.ascontiguousarray(array, "<f8").tobytes()
    for name, table in reduced.tables.items():
        packed = io.BytesIO()
        table.write_ipc_stream(packed)
        yield name + _TABLE, packed.getvalue()


def read_reduced(
    paths: PointPaths, code: str, wanted: Callable[[str], bool] = lambda name: True
) -> Reduced | None:
    """Read the file of a finished point, those arrays and tables that are `wanted` by name.

    None where there is none of this code and of the files that DONE names, or where what is read
    of it is damaged. Whether rows and samples are what DONE says is for others to find out
    (`gradsweep.store.checksums.require_whole`).
    """
    try:
        with zipfile.ZipFile(paths.reduced) as archive:
            head = json.loads(archive.read(_HEAD))
            if head["code"] != code or head["checksums"] != _checksums(paths):
                return None
            arrays, tables = {}, {}
            for member in archive.namelist():
                name, _, kind = member.rpartition(".")
                if not wanted(name) or member == _HEAD:
                    continue
                content = archive.read(member)  # checks its CRC
                if f".{kind}" == _ARRAY:
                    arrays[name] = np.frombuffer(content, "<f8")
                else:
                    # Small tables: a scan, which `read_ipc` is, takes fifty times as long.
                    tables[name] = pl.read_ipc_stream(content)
            return Reduced(head["about"], arrays, tables)
    except _DAMAGED:
        return None


def _checksums(paths: PointPaths) -> list[str]:
    known = finished_checksums(paths)
    return [known[file.name] for file in (paths.rows, paths.samples)]
