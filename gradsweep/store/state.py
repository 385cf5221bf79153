"""The state of a point, told by its files alone."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

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
    """DONE wins over everything; RUNNING only counts while a holder is alive."""
    if paths.done.exists():
        return PointState.DONE
    if holders(paths):
        return PointState.RUNNING
    if paths.failures():
        return PointState.FAILED
    return PointState.STOPPED if paths.config.exists() else PointState.NEW


def holders(paths: PointPaths) -> list[dict[str, Any]]:
    """The live processes that work on a point; several when its samples are shared out."""
    return [record for path in paths.leases() if (record := holder(path)) is not None]


def failure(paths: PointPaths) -> dict[str, Any] | None:
    """What FAILED.json says, the first of several; None when nothing failed."""
    for path in paths.failures():
        record = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(record, dict)
        return record | {"file": str(path)}
    return None
