"""Which points are in jobs, as far as the files tell: nobody asks the scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gradsweep.launch.local import LocalScheduler
from gradsweep.launch.records import (
    Array,
    JobPaths,
    Submission,
    TaskRun,
    submissions,
    submitted_array,
    task_runs,
)
from gradsweep.launch.settings import LocalSettings
from gradsweep.store import PointPaths, PointState, point_state


def points_in_jobs(results: Path) -> dict[str, str]:
    """point_id -> the task ("12_0") that has yet to run it.

    A task counts from when the scheduler took it until it has ended by its own account. One that
    was cancelled while it waited leaves no trace in files, and counts too: the queue knows better.
    """
    found: dict[str, str] = {}
    for paths, submission in submissions(results):
        for array, number, job in _tasks(paths, submission):
            runs = task_runs(paths, array.number, number)
            last = runs[-1] if runs else None
            if last and not _goes_on(last, results):
                continue
            over = last.points if last else {}
            waiting = [i for i in array.tasks[number].point_ids if i not in over]
            found |= dict.fromkeys(waiting, job)
    return found


def _tasks(paths: JobPaths, submission: Submission) -> Iterator[tuple[Array, int, str]]:
    """Every task that was handed over, with what the scheduler calls it; local ones if alive."""
    alive = LocalScheduler(LocalSettings()).live([(paths, submission)])
    for array in submission.arrays:
        taken = submitted_array(paths, array.number)
        for number in range(len(array.tasks)) if taken else ():
            local = submission.launcher == LocalScheduler.name
            if not local or (submission.submission_id, array.number, number) in alive:
                assert taken is not None
                yield array, number, f"{taken.job_id}_{number}"


def _goes_on(run: TaskRun, results: Path) -> bool:
    """A killed job leaves `running` behind, and nobody who holds its current point."""
    if run.outcome == "running" and run.current:
        state = point_state(PointPaths(results, run.current))
        return state in (PointState.RUNNING, PointState.DONE)
    return run.outcome in ("running", "requeued")
