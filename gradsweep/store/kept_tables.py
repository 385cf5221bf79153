"""Tables that were computed from parts of a results folder, kept from one command to the next.

Every line has the key of the part that it was computed from: of the points' checksums, and of
whatever else decides it. A part whose key is another today is computed again; so is everything
when gradsweep's code or its libraries are others than those that computed it.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import polars as pl

from gradsweep.errors import StoreError
from gradsweep.store.atomic import write_bytes
from gradsweep.store.paths import cache_folder
from gradsweep.versions import code_digest, versions

Tables = Mapping[str, pl.DataFrame]
"""Tables by name."""

_KEY = "_key"
_KEYS = "keys.json"
_FOLDER = "numbers-"


class KeptTables:
    """The tables of one kind, of all parts: results/cache/numbers-<code>/<kind>.zip."""

    def __init__(self, results: Path, kind: str) -> None:
        self._file = kept_file(results, kind)
        self._keys, self._tables = read_tables(self._file)
        self._new: dict[str, Tables] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._keys or key in self._new

    def add(self, key: str, tables: Tables) -> None:
        """Remember the tables of a part."""
        self._new[key] = tables

    def joined(self, parts: Sequence[tuple[str, Tables | None]]) -> dict[str, pl.DataFrame]:
        """Join the tables of some parts, in their order.

        Args:
            parts: keys, each with the tables of a part that is not to be kept, or None.
        """
        # Lines of thousands of parts are cut out together.
        rank = pl.DataFrame(
            {_KEY: [key for key, _ in parts], "_rank": range(len(parts))},
            schema={_KEY: pl.String(), "_rank": pl.UInt32()},
        )
        names = dict.fromkeys(
            name for one in (self._tables, *self._new.values(), *(t for _, t in parts if t))
            for name in one
        )  # fmt: skip
        joined = {}
        for name in names:
            frames = [self._tables[name]] if name in self._tables else []
            frames += [_marked(t[name], key) for key, t in self._new.items() if name in t]
            frames += [_marked(t[name], key) for key, t in parts if t and name in t]
            every = pl.concat(frames, how="diagonal_relaxed")
            lines = every.join(rank, on=_KEY, how="inner", maintain_order="left")
            joined[name] = lines.sort("_rank", maintain_order=True).drop(_KEY, "_rank")
        return joined

    def save(self) -> None:
        """Write what is new; a folder that cannot be written stays without."""
        if not self._new:
            return
        tables = dict(self._tables)
        for name in dict.fromkeys(name for of_part in self._new.values() for name in of_part):
            added = [_marked(t[name], key) for key, t in self._new.items() if name in t]
            before = [tables[name]] if name in tables else []
            tables[name] = pl.concat([*before, *added], how="diagonal_relaxed")
        keys = {*self._keys, *self._new}
        write_tables(self._file, keys, tables)
        self._keys, self._tables, self._new = keys, tables, {}


def kept_file(results: Path, kind: str) -> Path:
    """Say where the tables of a kind are that this code has computed."""
    return cache_folder(results) / f"{_FOLDER}{_code()}" / f"{kind}.zip"


def write_tables(file: Path, keys: Collection[str], tables: Tables) -> None:
    """Write tables whole or not at all; a folder that cannot be written stays without.

    What other code has computed is removed.
    """
    with suppress(StoreError):
        write_bytes(file, _packed(keys, tables))
        _drop_others(file.parent)


def key_of(*parts: object) -> str:
    """Make a key of plain values that decide what is computed."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _code() -> str:
    """What computes: gradsweep's source and the versions of its libraries."""
    return key_of(code_digest(), {n: v for n, v in versions().items() if n != "git_commit"})[:12]


def _marked(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    return frame.with_columns(pl.lit(key).alias(_KEY))


def _packed(keys: Collection[str], tables: Tables) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_KEYS, json.dumps(sorted(keys)))
        for name, table in tables.items():
            with archive.open(f"{name}.arrow", "w", force_zip64=True) as member:
                table.write_ipc(member, compression="zstd")
    return buffer.getvalue()


def read_tables(file: Path) -> tuple[set[str], dict[str, pl.DataFrame]]:
    """Read the keys and tables in a file; nothing where there is none, or it is damaged."""
    try:
        with zipfile.ZipFile(file) as archive:
            tables = {
                name.removesuffix(".arrow"): pl.read_ipc(archive.read(name))  # checks its CRC
                for name in archive.namelist()
                if name != _KEYS
            }
            return set(json.loads(archive.read(_KEYS))), tables
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, pl.exceptions.PolarsError):
        return set(), {}


def _drop_others(folder: Path) -> None:
    """Remove what other code has computed."""
    for other in folder.parent.glob(f"{_FOLDER}*"):
        if other != folder:
            with suppress(OSError):
                shutil.rmtree(other)
