"""SHA-256 of large files that are read once: what was hashed is remembered until a file changes.

A file is known by its path without links, size, times and inode. Its hash is that of the hashes
of its chunks, so that all cores share one file of many gigabytes. One record (`kept_records`) per
large file, in `hash_folder()`, keeps the hash for later processes.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from gradsweep.cores import usable_cores
from gradsweep.errors import ModelError
from gradsweep.models.kept_records import read_record, write_record
from gradsweep.models.source import cache_folder
from gradsweep.progress import console

log = logging.getLogger("gradsweep")

CHUNK = 1 << 28
"""Bytes that one thread hashes at a stretch. Another value makes other hashes."""
BLOCK = 1 << 22
MAX_THREADS = 16
LARGE = 1 << 20
"""Bytes from which a hash is kept on disk; a smaller file is read faster than its record."""
LONG = 2 << 30
"""Bytes that take long enough to hash for a line that says so."""
SETTLED_NS = 2_000_000_000
"""A file that was written later than this before it was hashed is hashed again the next time:
one more write could leave it the same size and, by a coarse clock, the same time."""


@dataclass(frozen=True)
class FileState:
    """What changes when a file is written to, or replaced by another."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def file_hashes(paths: Iterable[Path]) -> dict[Path, str]:
    """SHA-256 (64 hex digits) by path; files that have not changed are not read again.

    Raises:
        ModelError: a file cannot be read, or is written to while it is read.
    """
    states = {path: _state(path) for path in paths}
    hashes = {path: known for path, state in states.items() if (known := _known(path, state))}
    unknown = [path for path in states if path not in hashes]
    size = sum(states[path].size for path in unknown)
    if size >= LONG:
        console.print(
            f"reading {size / 1e9:.1f} GB in {unknown[0].parent}: a model counts by its content "
            "(later commands remember it)",
            soft_wrap=True,
        )
    for path, digest in zip(unknown, _hashed(unknown, states), strict=True):
        hashes[path] = digest
        _remember(path, states[path], digest)
    return hashes


def hash_folder() -> Path:
    """Folder of remembered hashes: `$XDG_CACHE_HOME` or `~/.cache`, then gradsweep/hashes."""
    return cache_folder().parent / "hashes"


_in_process: dict[Path, tuple[FileState, str]] = {}
"""Points of a grid ask for the same files hundreds of times."""


def _state(path: Path) -> FileState:
    try:
        stat = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return FileState(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def _unreadable(path: Path, error: OSError) -> ModelError:
    return ModelError(f"model.source.path: cannot read {path}: {error.strerror or error}")


# --- hashing


def _hashed(paths: Sequence[Path], states: dict[Path, FileState]) -> list[str]:
    chunks = [(path, start) for path in paths for start in range(0, states[path].size, CHUNK)]
    with ThreadPoolExecutor(min(MAX_THREADS, usable_cores())) as pool:
        digests = list(pool.map(lambda chunk: _chunk_digest(*chunk), chunks))
    wholes = {path: hashlib.sha256() for path in paths}
    for (path, _), digest in zip(chunks, digests, strict=True):
        wholes[path].update(digest)
    for path in paths:
        if _state(path) != states[path]:
            raise ModelError(
                f"model.source.path: {path} was written to while it was read: wait until it is "
                "complete, and run the same command again"
            )
    return [wholes[path].hexdigest() for path in paths]


def _chunk_digest(path: Path, start: int) -> bytes:
    """SHA-256 of at most `CHUNK` bytes; hashing and reading let other threads run."""
    digest, left = hashlib.sha256(), CHUNK
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            while left and (block := file.read(min(BLOCK, left))):
                digest.update(block)
                left -= len(block)
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest.digest()


# --- remembering


def _known(path: Path, state: FileState) -> str | None:
    real = Path(os.path.realpath(path))
    if real in _in_process:
        seen, digest = _in_process[real]
        return digest if seen == state else None
    if state.size < LARGE:
        return None
    record = read_record(_record_of(real))
    if record.get("state") != _described(real, state):
        return None
    kept = record.get("sha256")
    return kept if isinstance(kept, str) and len(kept) == 64 else None


def _remember(path: Path, state: FileState, digest: str) -> None:
    if time.time_ns() - state.mtime_ns < SETTLED_NS:
        return
    real = Path(os.path.realpath(path))
    _in_process[real] = state, digest
    if state.size < LARGE:
        return
    record = {"state": _described(real, state), "sha256": digest}
    try:
        write_record(_record_of(real), record)
    except OSError as error:
        log.warning(
            "%s cannot be written (%s): every command reads the weights again. Another folder can "
            "be given with XDG_CACHE_HOME",
            hash_folder(),
            error.strerror,
        )


def _record_of(real: Path) -> Path:
    return hash_folder() / f"{hashlib.sha256(os.fsencode(real)).hexdigest()[:32]}.json"


def _described(real: Path, state: FileState) -> dict[str, str | int]:
    return {"path": str(real), "chunk": CHUNK, **asdict(state)}
