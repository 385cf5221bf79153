"""Which points are in jobs, as far as the files tell: nobody asks the scheduler."""

from __future__ import annotations

from pathlib import Path

from gradsweep.jobs.schedulers.local import live_processes
from gradsweep.jobs.tasks import JobTask, Phase, QueueAnswer, known_submissions, tasks_of
from gradsweep.store.lease import holder


def points_in_jobs(results: Path) -> dict[str, str]:
    """point_id -> the task ("12_0") that has yet to run it.

    A task counts from when the scheduler took it until it has ended by its own account. One that
    was cancelled while it waited leaves no trace in files, and counts too: the queue knows better.
    """
    known = known_submissions(results)
    answer = QueueAnswer(None, live_processes(known))
    leases = (results / "points").glob("*/RUNNING*")
    alive = {path.parent.name for path in leases if holder(path)}
    found: dict[str, str] = {}
    for task in tasks_of(results, known, answer, alive):
        if task.taken and task.phase is not Phase.OVER and not _was_killed(task):
            found |= dict.fromkeys(task.left, task.job_id)
    return found


def _was_killed(task: JobTask) -> bool:
    """It leaves `running` behind, and nobody who holds one of its points."""
    running = task.last is not None and task.last.outcome == "running"
    return running and task.phase is Phase.UNKNOWN
