"""Ends what waits or runs; what is stored stays.

A job may have other points to run. So a point is cancelled by a file that its job looks for
before each point and after each batch; the job itself is ended when nothing is left for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from gradsweep.errors import ConfigError
from gradsweep.jobs.schedulers import scheduler_class
from gradsweep.jobs.schedulers.base import Phase
from gradsweep.jobs.status.lines import State, SweepStatus
from gradsweep.jobs.tasks import JobTask
from gradsweep.store.atomic import write_text


@dataclass(frozen=True)
class Cancelled:
    """The outcome of a request to cancel."""

    ended: tuple[JobTask, ...]
    """Jobs that were told to end."""
    narrowed: tuple[JobTask, ...]
    """Jobs that go on with other points."""
    points: tuple[str, ...]
    """All points that no job is going to run any more."""
    problems: tuple[str, ...]
    """Sentences on what could not be done, and what to do about it."""


def cancel(status: SweepStatus, point_ids: Collection[str]) -> Cancelled:
    """Take these points out of every job that waits or runs.

    Args:
        status: of a moment ago; has the points.
        point_ids: which ones.

    Raises:
        StoreError: the results folder cannot be written.
    """
    ended: list[JobTask] = []
    narrowed: list[JobTask] = []
    points: list[str] = []
    # Looked at before anything is written: tasks that share out a point have it in common.
    live = [task for task in status.tasks if task.phase is not Phase.OVER]
    of_task = [(task, [name for name in task.left if name in point_ids]) for task in live]
    for task, mine in of_task:
        if not mine:
            continue
        for point_id in mine:
            write_text(task.paths.cancelled(point_id), "")
        points += mine
        (narrowed if task.left else ended).append(task)
    problems = [*_end(ended), *_outside(status, point_ids)]
    return Cancelled(tuple(ended), tuple(narrowed), tuple(dict.fromkeys(points)), tuple(problems))


def _end(tasks: Sequence[JobTask]) -> Iterator[str]:
    """Tell the schedulers of these tasks to end them; yields what could not be done."""
    for name in dict.fromkeys(task.submission.launcher for task in tasks):
        own = [task for task in tasks if task.submission.launcher == name]
        try:
            scheduler = scheduler_class(name)
        except ConfigError as error:
            yield f"{error}: its jobs will find their points cancelled when they look"
        else:
            yield from scheduler.cancel(own)


def _outside(status: SweepStatus, point_ids: Collection[str]) -> list[str]:
    return [
        f"{line.point_id} is running {line.note}: end that process yourself"
        for line in status.of(State.RUNNING)
        if line.point_id in point_ids and line.note
    ]
