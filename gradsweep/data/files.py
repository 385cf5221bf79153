"""Reading data files: every way in which that can fail becomes one `DataError`.

`field` is the config field that names the file, for the message. A file may be compressed:
`.gz`, `.zst` and `.bz2` are read as what they hold.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from gradsweep.errors import DataError

COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
"""Ending of a file -> how pyarrow calls its compression."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def inner_suffix(path: Path) -> str:
    """The ending that says what a file holds, in small letters: `.jsonl` of `Mine.JSONL.gz`."""
    plain = path.with_suffix("") if path.suffix.lower() in COMPRESSED else path
    return plain.suffix.lower()


def read_text(path: Path, field: str) -> str:
    """The text of a UTF-8 file that is not empty; a byte order mark is dropped."""
    data = read_bytes(path, field)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{field}: {path} is not UTF-8 text (byte {data[error.start]:#04x} in line {line}); "
            "save it as UTF-8"
        ) from error
    if not text.strip():
        raise DataError(f"{field}: {path} is empty")
    return text


def parse_json(text: str, path: Path, first_line: int = 1) -> Any:
    """Parse JSON that starts at `first_line` of `path`; an error names the line in the file."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise DataError(
            f"{path}: malformed JSON at line {line}, column {error.colno}: {error.msg}"
        ) from error
    except DataError as error:
        place = f"line {first_line}" + (" or one behind it" if "\n" in text else "")
        raise DataError(f"{path}, {place}: {error}") from error
    except (RecursionError, ValueError) as error:  # nested too deep, or an endless number
        raise DataError(f"{path}: unusable JSON from line {first_line} on: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these fields. Raises `DataError` where the last of one name would hide others.

    Parsing takes a quarter longer by it.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        for name, value in pairs:
            if made[name] != value:
                raise DataError(
                    f"an object has field {name!r} more than once, with different values, and only "
                    "one could be read; rename or delete the others"
                )
    return made


def content_hash(path: Path, field: str) -> str:
    """SHA-256 of what a file or a folder holds; read again only when it has changed.

    Compression does not count, nor do the names of files in a folder beyond their order.
    """
    return _hash(path, field, version_of(path, field))


def version_of(path: Path, field: str) -> tuple[tuple[int, int], ...]:
    """Time of change in ns and size in bytes of a file, or of every file of a folder."""
    stats = [_stat(file, field) for file in _files_of(path)]
    return tuple((stat.st_mtime_ns, stat.st_size) for stat in stats)


def read_bytes(path: Path, field: str) -> bytes:
    """The bytes that a file holds, decompressed where its name says that they are compressed."""
    compression = COMPRESSED.get(path.suffix.lower())
    data = _read(path, field)
    if data.startswith(LFS_POINTER):
        raise DataError(
            f"{field}: {path} is a pointer of Git LFS and not the file itself; fetch that with "
            "`git lfs pull` in its repository"
        )
    if compression is None:
        return data
    import pyarrow  # type: ignore[import-untyped]  # a tenth of a second, for few files

    try:
        with pyarrow.CompressedInputStream(pyarrow.BufferReader(data), compression) as stream:
            return bytes(stream.read())
    except (OSError, ValueError) as error:
        raise unreadable(path, field, error) from error


def unreadable(path: Path, field: str, error: Exception) -> DataError:
    """The error of a file that cannot be read, with the first line of what the library said."""
    why = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
    return DataError(f"{field}: cannot read {path}: {why or type(error).__name__}")


@lru_cache(maxsize=256)
def _hash(path: Path, field: str, version: tuple[tuple[int, int], ...]) -> str:
    hashes = [hashlib.sha256(read_bytes(file, field)).hexdigest() for file in _files_of(path)]
    if not path.is_dir():
        return hashes[0]
    return hashlib.sha256("\0".join(hashes).encode()).hexdigest()


def _files_of(path: Path) -> list[Path]:
    """A file itself; the tables of a folder, without those that `datasets` caches beside them."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*.arrow") if not file.name.startswith("cache-"))


def _stat(path: Path, field: str) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise unreadable(path, field, error) from error


def _read(path: Path, field: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, field, error) from error
