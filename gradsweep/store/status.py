"""Where every point of a results folder stands, told by its files alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gradsweep.errors import DataError
from gradsweep.records import Axes, SampleStatus
from gradsweep.store.paths import PointPaths, point_folders
from gradsweep.store.point import read_parts
from gradsweep.store.read import read_config
from gradsweep.store.state import PointState, failure, holders, point_state


@dataclass(frozen=True)
class PointStatus:
    """One line of `python -m gradsweep status`."""

    point_id: str
    axes: str
    state: PointState
    n_stored: int
    """Samples with an outcome on disk."""
    n_bad: int
    """Of these, the ones that could not be measured."""
    note: str
    """Who is running it, or why it failed."""


def point_statuses(results: str | Path) -> list[PointStatus]:
    """Every point that was started in the results folder (`store.root`), in order of its axes.

    Raises DataError when none was.
    """
    points = point_folders(Path(results))
    if not points:
        raise DataError(f"no points in {results}: pass the folder that store.root named")
    return sorted((_status(paths) for paths in points), key=lambda status: status.axes)


def _status(paths: PointPaths) -> PointStatus:
    state = point_state(paths)
    done = state is PointState.DONE
    samples = pl.read_parquet(paths.samples) if done else read_parts(paths, "samples")
    bad = samples.filter(pl.col("status") != SampleStatus.OK.value)
    axes = str(Axes(**read_config(paths)["axes"]))
    return PointStatus(paths.point_id, axes, state, len(samples), len(bad), _note(paths, state))


def _note(paths: PointPaths, state: PointState) -> str:
    failed = failure(paths) if state is PointState.FAILED else None
    if failed:
        return str(failed["message"])
    alive = holders(paths) if state is PointState.RUNNING else []
    return ", ".join(f"process {held['pid']} on {held['host']}" for held in alive)
