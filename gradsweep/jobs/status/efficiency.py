"""The share of the time of jobs that went into measuring."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from gradsweep.jobs.records import TaskRun
from gradsweep.jobs.schedulers.base import Phase
from gradsweep.jobs.tasks import JobTask
from gradsweep.store import PointPaths
from gradsweep.times import duration_text, epoch


@dataclass(frozen=True)
class Efficiency:
    """Time of all starts of some tasks together."""

    measuring: float
    """Seconds of the samples of their points; batches that run side by side count each."""
    wall: float
    """Seconds from start to end of each job: with starting Python, loading data and weights,
    writing results, and the batches that were dropped."""

    @property
    def share(self) -> float:
        return self.measuring / self.wall if self.wall else 0.0


def efficiency(tasks: Sequence[JobTask], spent: Mapping[str, float]) -> Efficiency | None:
    """Add up the tasks that have started and have no other points than these; None without any.

    Args:
        tasks: of any submissions.
        spent: point_id -> seconds that were spent on measuring what is stored of it.
    """
    ours = [task for task in tasks if task.runs and spent.keys() >= set(task.task.point_ids)]
    if not ours:
        return None
    points = {point_id for task in ours for point_id in task.task.point_ids}
    return Efficiency(sum(spent[name] for name in points), sum(map(_wall_seconds, ours)))


def _wall_seconds(task: JobTask) -> float:
    pairs = zip_longest(task.runs, task.runs[1:])
    return sum(max(0.0, _end(task, run, after) - epoch(run.started)) for run, after in pairs)


def _end(task: JobTask, run: TaskRun, after: TaskRun | None) -> float:
    """Time at which a start ended. A killed job could not write it down: at the latest when it was
    started again."""
    if run.ended is not None:
        return epoch(run.ended)
    if after is not None:
        return epoch(after.started)
    return time.time() if task.phase is Phase.RUNNING else _last_sign(task, run)


def _last_sign(task: JobTask, run: TaskRun) -> float:
    """Time of its last sign of life: its point's heartbeat, or when it last wrote what it does."""
    results = task.paths.folder.parents[3]
    files = [task.paths.run(run)]
    if run.current:
        files.append(PointPaths(results, run.current).running)
    return max((path.stat().st_mtime for path in files if path.exists()), default=0.0)


def efficiency_text(efficiency: Efficiency) -> str:
    """The share of the jobs' time that went into samples which are stored."""
    wall, measuring = duration_text(efficiency.wall), duration_text(efficiency.measuring)
    if efficiency.share > 1:
        return f"{wall} in all, {measuring} of measuring, batches side by side"
    share = f"{100 * efficiency.share:.0f} %"
    return f"{wall}, {measuring} of it measuring ({share}); the rest: starting, loading, writing"
