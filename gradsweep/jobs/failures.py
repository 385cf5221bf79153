"""A point that failed in a job: what its log and its files say."""

from __future__ import annotations

import traceback
from typing import Any

from gradsweep.errors import GradsweepError
from gradsweep.progress import console, show_error
from gradsweep.records import Shard
from gradsweep.store import PointPaths
from gradsweep.store.point import open_point


def say_failure(label: str, error: Exception) -> None:
    """Print why a point failed, with a traceback where it is no mistake of a user's."""
    if not isinstance(error, GradsweepError):
        console.print("".join(traceback.format_exception(error)), soft_wrap=True)
    show_error(f"{label}: {type(error).__name__}: {error}", title="failed:")


def record_failure(
    point: PointPaths, record: dict[str, Any], error: Exception, shard: Shard
) -> None:
    """Write FAILED.json, also for what failed before the point was opened: data may be gone."""
    try:
        with open_point(point, record, shard, keep_failure=True):
            raise error
    except GradsweepError as second:
        if second is not error:
            show_error(f"the failure could not be recorded: {second}")
    except Exception as second:
        if second is not error:
            raise
