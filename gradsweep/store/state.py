"""Where points stand, told by their files alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import polars as pl

from gradsweep.errors import DataError
from gradsweep.records import Axes, SampleStatus
from gradsweep.store.checksums import read_finished, read_summary
from gradsweep.store.description import stored_axes
from gradsweep.store.kept import save_kept
from gradsweep.store.lease import ahead, holder
from gradsweep.store.paths import PointPaths, point_folders
from gradsweep.store.point import read_parts
from gradsweep.store.record import read_config


class PointState(str, Enum):
    NEW = "new"
    """Nothing on disk."""
    STOPPED = "stopped"
    """Started, not finished, and nobody is working on it: run it again to go on."""
    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"


def point_state(paths: PointPaths) -> PointState:
    """Tell a point's state: DONE wins over everything, RUNNING only counts with a live holder."""
    if paths.done.exists():
        return PointState.DONE
    if holders(paths):
        return PointState.RUNNING
    if paths.failures():
        return PointState.FAILED
    return PointState.STOPPED if paths.config.exists() else PointState.NEW


def holders(paths: PointPaths) -> list[dict[str, Any]]:
    """Find the live processes that work on a point; several when its samples are shared out."""
    return [record for path in paths.leases() if (record := holder(path)) is not None]


_UNREADABLE = {
    "error": "unknown",
    "message": "the record of its failure is damaged",
    "user_error": True,
    "traceback": [],
}


def failure(paths: PointPaths) -> dict[str, Any] | None:
    """Read FAILED.json, the first of several; None when nothing failed."""
    for path in paths.failures():
        try:
            record = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            record = {}
        return _UNREADABLE | record | {"file": str(path)}
    return None


@dataclass(frozen=True)
class PointStatus:
    """Where one point stands, and how many of its samples are stored."""

    point_id: str
    axes: str
    state: PointState
    n_stored: int
    """Samples with an outcome on disk."""
    n_bad: int
    """Stored samples that could not be measured."""
    note: str
    """Who is running it, or why it failed."""


def point_statuses(
    results: str | Path, records: Mapping[str, Mapping[str, Any]] | None = None
) -> list[PointStatus]:
    """List every point that was started in the results folder (`store.root`), by its axes.

    Args:
        results: the folder.
        records: the contents of config.yaml that are known, by point.

    Raises:
        DataError: none was.
    """
    points = point_folders(Path(results))
    if not points:
        raise DataError(f"no points in {results}: pass the folder that store.root named")
    known = records or {}
    statuses = (_status(paths, known.get(paths.point_id)) for paths in points)
    found = sorted(statuses, key=lambda status: status.axes)
    save_kept(Path(results))
    return found


def _status(paths: PointPaths, record: Mapping[str, Any] | None) -> PointStatus:
    state = point_state(paths)
    n_stored, n_bad = sample_counts(paths)
    axes = str(Axes(**stored_axes(record or read_config(paths))))
    return PointStatus(paths.point_id, axes, state, n_stored, n_bad, _note(paths, state))


def sample_counts(paths: PointPaths) -> tuple[int, int]:
    """Count the samples that a point has stored, and those of them that could not be measured.

    Raises:
        DataError: a file is damaged.
    """
    done = paths.done.exists()
    counts = read_summary(paths).get("samples") if done else None
    if counts is not None:
        n_stored = sum(counts.values())
        return n_stored, n_stored - counts.get(SampleStatus.OK.value, 0)
    samples = read_finished(paths, paths.samples) if done else read_parts(paths, "samples")
    return len(samples), len(samples.filter(pl.col("status") != SampleStatus.OK.value))


def _note(paths: PointPaths, state: PointState) -> str:
    failed = failure(paths) if state is PointState.FAILED else None
    if failed:
        return str(failed["message"])
    leases = paths.leases() if state is PointState.RUNNING else []
    alive = [(path, held) for path in leases if (held := holder(path)) is not None]
    told = [[f"process {held['pid']} on {held['host']}", ahead(path, held)] for path, held in alive]
    return ", ".join("; ".join(filter(None, words)) for words in told)
