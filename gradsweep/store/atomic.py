"""Write aside, then move: a reader sees the old file or the new one, never half of one."""

from __future__ import annotations

import errno
import io
import json
import os
import shlex
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import polars as pl

from gradsweep.errors import StoreError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""A full disk, or a quota that is used up."""
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Somebody else's folder, or a read-only disk."""
REPORTS = "reports"
"""The folder of results in which reports lie."""


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all; raises as `write_bytes`."""
    write_bytes(path, text.encode())


def write_changed_text(path: Path, text: str) -> None:
    """Write `path` as `write_text` does unless it says that already, which spares the disk."""
    with suppress(OSError):
        if path.read_bytes() == text.encode():
            return
    write_text(path, text)


def create_text(path: Path, text: str) -> None:
    """Write `path` whole unless it is there: of several processes, the first one's text stays."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        aside.write_text(text, encoding="utf-8")
        with suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, what it does not know as its text; raises as `write_bytes`."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


def write_parquet(path: Path, frame: pl.DataFrame) -> None:
    """Write a frame, compressed by zstd; raises as `write_bytes`."""
    # Encoded in memory: Polars hides a full disk in an error of its own.
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    write_bytes(path, buffer.getvalue())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a sibling, flush it to disk, rename it over `path`.

    Raises:
        StoreError: the disk is full or the folder cannot be written. What was there stays.
    """
    with readable_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            aside.write_bytes(content)
            with aside.open("rb") as handle:
                os.fsync(handle.fileno())
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def readable_disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write below `path` into a StoreError."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise no_space(path) from error
        raise StoreError(
            f"cannot write {path} (store.root): {error.strerror or error}{_elsewhere(path, error)}"
        ) from error


def _elsewhere(path: Path, error: OSError) -> str:
    """Say how to have reports of results in a folder that only others may write."""
    if error.errno not in NOT_ALLOWED or REPORTS not in path.parts:
        return ""
    results = Path(*path.parts[: path.parts.index(REPORTS)])
    points = shlex.quote(str(results.resolve() / "points"))
    return (
        f"; to have it in a folder of your own: mkdir mine; ln -s {points} mine/points; and type "
        f"mine for {results}"
    )


def no_space(path: Path) -> StoreError:
    """Make the refusal of a full disk."""
    return StoreError(
        f"no space left for {path}: free some, or set store.root to another disk, "
        "and run the same command again; what is stored is kept"
    )
