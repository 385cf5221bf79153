"""How far unfinished points are, from their parts; each part is read once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gradsweep.records import SampleStatus
from gradsweep.store.checksums import read_part
from gradsweep.store.parquet import UNREADABLE, scan
from gradsweep.store.paths import PointPaths

RECENT_SECONDS = 300.0
"""The speed of a point is that of its last five minutes,"""
RECENT_PARTS = 5
"""or of its last parts, when these took longer."""


@dataclass(frozen=True)
class Part:
    """Some samples that were stored together."""

    stored: float
    """Time of storing, in seconds since the epoch."""
    outcomes: dict[str, tuple[bool, float]]
    """sample_id -> whether it could be measured, and the seconds that it took."""


@dataclass(frozen=True)
class Progress:
    """What is stored of a point that is not done."""

    parts: tuple[Part, ...] = ()

    @property
    def outcomes(self) -> dict[str, tuple[bool, float]]:
        """The outcome of every sample; the last one where it was tried again."""
        merged: dict[str, tuple[bool, float]] = {}
        for part in self.parts:
            merged |= part.outcomes
        return merged

    @property
    def seconds(self) -> float:
        """Time spent on measuring what is stored."""
        return sum(seconds for part in self.parts for _, seconds in part.outcomes.values())

    def rate(self, since: float, now: float) -> float | None:
        """Compute the samples per second of late.

        Args:
            since: when the process that measures now has begun; what is older is another's.
            now: in seconds since the epoch, as `since`.

        Returns:
            None before the second part: the first one has the loading of weights in it.
        """
        parts = [part for part in self.parts if part.stored >= since]
        recent = [part for part in parts if part.stored >= now - RECENT_SECONDS]
        recent = recent if len(recent) >= RECENT_PARTS else parts[-RECENT_PARTS:]
        if len(recent) < 2:
            return None
        # Clocks of file servers and nodes differ a little: never a negative time.
        seconds = max(now, recent[-1].stored) - recent[0].stored
        n_samples = sum(len(part.outcomes) for part in recent[1:])
        return n_samples / seconds if seconds > 0 else None


class ProgressReader:
    """Reads the progress of points again and again; parts never change once they are written."""

    def __init__(self) -> None:
        self._known: dict[Path, Part] = {}

    def read(self, points: Iterable[PointPaths]) -> dict[str, Progress]:
        """Read the progress of each point, by id.

        Raises:
            DataError: a part is damaged.
        FileNotFoundError: a point was finished, and its parts joined, just now: ask again.
        """
        files = {point.point_id: _files(point.parts) for point in points}
        new = [path for paths in files.values() for path in paths if path not in self._known]
        self._known |= _read(new)
        return {
            name: Progress(tuple(sorted((self._known[path] for path in paths), key=_time)))
            for name, paths in files.items()
        }


def _time(part: Part) -> float:
    return part.stored


def _files(parts: Path) -> list[Path]:
    return sorted(parts.glob("samples-*.parquet"))


def _read(files: Sequence[Path]) -> dict[Path, Part]:
    """Read files in one go: one by one, thousands of small files take ten times as long."""
    if not files:
        return {}
    lazy = scan(*files, file_column="file")
    try:
        table = lazy.select("file", "sample_id", "status", "seconds").collect()
    except UNREADABLE as error:  # which is how it says that a file is gone
        if all(path.exists() for path in files):
            for path in files:
                read_part(path)
            raise
        raise FileNotFoundError(str(error)) from error
    ok = pl.col("status") == SampleStatus.OK.value
    table = table.with_columns(ok=ok, seconds=pl.col("seconds").fill_nan(0).fill_null(0))
    outcomes: dict[str, dict[str, tuple[bool, float]]] = {}
    for file, sample, good, seconds in table.select("file", "sample_id", "ok", "seconds").rows():
        outcomes.setdefault(file, {})[sample] = (good, seconds)
    return {path: Part(path.stat().st_mtime, outcomes.get(str(path), {})) for path in files}
