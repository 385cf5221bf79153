"""What was read from files, kept from one process to the next: results/cache/<kind>.tsv.

Thousands of small files take many seconds to parse and large ones to hash. A text that was made
from a file is taken again while the file has the same size, times and place on the disk; anything
else, and a damaged or missing cache, costs the time alone. The folder can be deleted whenever.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from gradsweep.errors import StoreError
from gradsweep.store.atomic import write_text
from gradsweep.store.paths import cache_folder

_HEAD = "gradsweep cache 1"
WORTH_WRITING = 20
"""New texts, below which the file is not written again: they are read sooner than it."""
SETTLED_SECONDS = 2.0
"""A file that changed so short ago might change again with the same times: clocks of file systems
are coarse. Its text is good for this process alone."""


class Kept:
    """Texts of one kind by name, each with the mark of the file that it was made from."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = _read(file)
        self._unsettled: dict[str, tuple[str, str]] = {}
        self._new = 0

    def get(self, name: str, mark: str) -> str | None:
        """Return the text of a file that has this mark; None where it has to be made."""
        for texts in (self._unsettled, self._known):
            found = texts.get(name)
            if found is not None and found[0] == mark:
                return found[1]
        return None

    def put(self, name: str, mark: str, text: str) -> None:
        """Remember a text without line breaks and tabs, made after the mark was taken."""
        if time.time() - _changed(mark) < SETTLED_SECONDS:
            self._unsettled[name] = mark, text
        else:
            self._known[name] = mark, text
            self._new += 1

    def save(self) -> None:
        """Write the file if enough is new; a folder that cannot be written stays without."""
        if self._new < WORTH_WRITING:
            return
        # What other processes have found meanwhile stays.
        self._known = _read(self._file) | self._known
        lines = ("\t".join((name, *known)) for name, known in sorted(self._known.items()))
        with suppress(StoreError):
            write_text(self._file, "\n".join([_HEAD, *lines]) + "\n")
        self._new = 0


@lru_cache(maxsize=16)
def kept(results: Path, kind: str) -> Kept:
    """Return the texts of a kind (`records`, `checksums`) that a results folder has."""
    return Kept(cache_folder(results) / f"{kind}.tsv")


def save_kept(results: Path) -> None:
    """Write what a command has read, for the next one; called where many points were read."""
    for kind in ("records", "checksums"):
        kept(results, kind).save()


def mark_of(file: Path) -> str:
    """Describe the state of a file: size, times of content and inode, inode.

    Raises:
        FileNotFoundError: there is none.
    """
    state = os.stat(file)
    return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}"


def _changed(mark: str) -> float:
    """Seconds since the epoch at which the file was changed last."""
    _, *times, _ = mark.split()
    return max(map(int, times)) / 1e9


def _read(file: Path) -> dict[str, tuple[str, str]]:
    try:
        head, *lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return {}
    if head != _HEAD:
        return {}
    parts = (line.split("\t") for line in lines)
    return {part[0]: (part[1], part[2]) for part in parts if len(part) == 3}
