"""Ending what waits or runs: what is stored stays.

A job may have other points to run. So a point is cancelled by a file that its job looks for
before each point and after each batch; the job itself is ended when nothing is left for it.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gradsweep.errors import SchedulerError
from gradsweep.jobs.schedulers.slurm import cancel_elements
from gradsweep.jobs.status.lines import Overview, State
from gradsweep.jobs.tasks import JobTask, Phase, QueueAnswer
from gradsweep.store.atomic import write_text


@dataclass(frozen=True)
class Cancelled:
    """What became of a request to cancel."""

    ended: tuple[JobTask, ...]
    """Jobs that were told to end."""
    narrowed: tuple[JobTask, ...]
    """Jobs that go on with other points."""
    points: tuple[str, ...]
    """All points that no job is going to run any more."""
    problems: tuple[str, ...]
    """What could not be done, and what to do about it."""


def cancel(overview: Overview, point_ids: Collection[str], answer: QueueAnswer) -> Cancelled:
    """Take these points out of every job that waits or runs.

    Args:
        overview: that has the points.
        point_ids: which ones.
        answer: of the queue, a moment ago.

    Raises:
        StoreError: the results folder cannot be written.
    """
    ended: list[JobTask] = []
    narrowed: list[JobTask] = []
    points: list[str] = []
    # Looked at before anything is written: tasks that share out a point have it in common.
    live = [task for task in overview.tasks if task.phase is not Phase.OVER]
    of_task = [(task, [name for name in task.left if name in point_ids]) for task in live]
    for task, mine in of_task:
        if not mine:
            continue
        for point_id in mine:
            write_text(task.paths.cancelled(point_id), "")
        points += mine
        (narrowed if task.left else ended).append(task)
    problems = [*_end_slurm(ended), *_end_local(ended, answer), *_outside(overview, point_ids)]
    return Cancelled(tuple(ended), tuple(narrowed), tuple(dict.fromkeys(points)), tuple(problems))


def _end_slurm(tasks: Sequence[JobTask]) -> list[str]:
    elements = [t.job_id for t in tasks if t.submission.launcher == "slurm" and t.job_id]
    try:
        cancel_elements(elements)
    except SchedulerError as error:
        return [
            f"{error}; the jobs will find their points cancelled when they look; "
            f"when SLURM is back: scancel {' '.join(elements)}"
        ]
    return []


def _end_local(tasks: Sequence[JobTask], answer: QueueAnswer) -> list[str]:
    problems = []
    for task in tasks:
        if task.submission.launcher == "slurm":
            continue
        # Only a process that was seen to be ours: numbers get reused.
        pid = answer.local.get(task.key)
        if pid is not None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGTERM)
        elif task.submission.host != socket.gethostname():
            problems.append(
                f"process {task.job_id} is on {task.submission.host}: it will find its points "
                "cancelled when it looks, after the current batch"
            )
    return problems


def _outside(overview: Overview, point_ids: Collection[str]) -> list[str]:
    return [
        f"{line.point_id} is running {line.note}: end that process yourself"
        for line in overview.of(State.RUNNING)
        if line.point_id in point_ids and line.note
    ]
