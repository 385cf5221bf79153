"""Reading data files: every way in which that can fail becomes one `DataError`.

`field` is the config field that names the file, for the message.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from gradsweep.errors import DataError


def read_text(path: Path, field: str) -> str:
    """The text of a UTF-8 file that is not empty; a byte order mark is dropped."""
    data = _read(path, field)
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
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise DataError(
            f"{path}: malformed JSON at line {line}, column {error.colno}: {error.msg}"
        ) from error
    except (RecursionError, ValueError) as error:  # nested too deep, or an endless number
        raise DataError(f"{path}: unusable JSON from line {first_line} on: {error}") from error


def content_hash(path: Path, field: str) -> str:
    """SHA-256 of a file's bytes; read again only when its time or size has changed."""
    stat = stat_of(path, field)
    return _hash(path, field, stat.st_mtime_ns, stat.st_size)


def stat_of(path: Path, field: str) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise _unreadable(path, field, error) from error


@lru_cache(maxsize=256)
def _hash(path: Path, field: str, mtime_ns: int, size: int) -> str:
    return hashlib.sha256(_read(path, field)).hexdigest()


def _read(path: Path, field: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, field, error) from error


def _unreadable(path: Path, field: str, error: OSError) -> DataError:
    return DataError(f"{field}: cannot read {path}: {error.strerror or error}")
