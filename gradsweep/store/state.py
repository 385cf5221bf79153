"""The state of a point, told by its files alone."""

from __future__ import annotations

from enum import Enum

from gradsweep.store.lease import holder
from gradsweep.store.paths import PointPaths


class PointState(str, Enum):
    NEW = "new"
    """Nothing on disk."""
    STOPPED = "stopped"
    """Started, not finished, and nobody is working on it: run it again to go on."""
    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"


def point_state(paths: PointPaths) -> PointState:
    """DONE wins over everything; RUNNING only counts while its holder is alive."""
    if paths.done.exists():
        return PointState.DONE
    if holder(paths.running) is not None:
        return PointState.RUNNING
    if paths.failed.exists():
        return PointState.FAILED
    return PointState.STOPPED if paths.config.exists() else PointState.NEW
