"""From a plan to jobs, so that nothing is lost and nothing is submitted twice.

Everything a job needs is written before the scheduler hears of it: a killed command leaves
either no job, or jobs that run by themselves and are found in the queue by their names.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from gradsweep.launch.fit import require_memory
from gradsweep.launch.frozen import freeze_point
from gradsweep.launch.local import LocalScheduler
from gradsweep.launch.records import (
    Array,
    JobPaths,
    Submission,
    SubmittedArray,
    jobs_folder,
    submissions,
    write_submission,
    write_submitted_array,
)
from gradsweep.launch.settings import LaunchSettings, LocalSettings, SlurmSettings
from gradsweep.launch.slurm import SlurmScheduler
from gradsweep.launch.snapshot import code_digest, take_snapshot
from gradsweep.store import PointPaths, PointState, SweepPaths, point_state
from gradsweep.store.lease import hold_lease
from gradsweep.sweep import Plan, PlannedPoint
from gradsweep.versions import versions


class Scheduler(Protocol):
    """Where tasks wait and run."""

    name: str

    def arrays(self, points: Sequence[PlannedPoint]) -> tuple[Array, ...]:
        """Which points share a task, and which tasks an array."""

    def live(self, known: Iterable[tuple[JobPaths, Submission]]) -> set[tuple[str, int, int]]:
        """(submission_id, array, task) of all tasks that wait or run."""

    def start(
        self, paths: JobPaths, submission: Submission, array: Array, earlier: Sequence[str]
    ) -> SubmittedArray:
        """Hand over one array."""


@dataclass(frozen=True)
class Launched:
    """What a submission came to; every point of the plan is in one of the first four."""

    submitted: tuple[str, ...]
    """Points that have a new job."""
    in_jobs: tuple[str, ...]
    """Points that wait or run in jobs of earlier submissions."""
    running: tuple[str, ...]
    """Points that a process outside of these jobs is running."""
    done: tuple[str, ...]
    jobs: tuple[str, ...] = ()
    """What the scheduler calls the new jobs: `<array job id>_[0-<n>]` on SLURM."""
    paths: JobPaths | None = None
    """Files of the new submission."""


def scheduler_of(settings: LaunchSettings) -> Scheduler:
    if isinstance(settings, SlurmSettings):
        return SlurmScheduler(settings)
    assert isinstance(settings, LocalSettings)
    return LocalScheduler(settings)


def submit(plan: Plan, settings: LaunchSettings, command: Sequence[str]) -> Launched:
    """Submit every point of the plan that is neither done nor in a job already.

    Raises:
        SchedulerError: the scheduler refuses or does not answer.
        ConfigError: `hydra.launcher` holds what cannot be, or jobs have too little memory.
        PointBusyError: another command is submitting into this results folder just now.
    """
    results = Path(plan.results)
    scheduler = scheduler_of(settings)
    with hold_lease(results / "sweeps" / "SUBMITTING"):
        places = _places(plan, scheduler)
        pending = [point for point in plan.points if places[point.point_id] == "pending"]
        found = Launched(
            submitted=_in(places, "pending"),
            in_jobs=_in(places, "in jobs"),
            running=_in(places, "running"),
            done=_in(places, "done"),
        )
        if not pending:
            return found
        if isinstance(settings, SlurmSettings):
            require_memory(pending, settings)
        arrays = scheduler.arrays(pending)
        paths, submission = _freeze(plan, pending, arrays, settings, command, scheduler)
        return replace(found, jobs=_start(paths, submission, scheduler), paths=paths)


def live_tasks(results: Path, scheduler: Scheduler) -> dict[str, tuple[str, int, int]]:
    """point_id -> the task, (submission_id, array, task), in which it waits or runs."""
    known = [one for one in submissions(results) if one[1].launcher == scheduler.name]
    alive = scheduler.live(known) if known else set()
    found: dict[str, tuple[str, int, int]] = {}
    for _, submission in known:
        for array in submission.arrays:
            for number, task in enumerate(array.tasks):
                place = (submission.submission_id, array.number, number)
                if place in alive:
                    found |= dict.fromkeys(task.point_ids, place)
    return found


def _places(plan: Plan, scheduler: Scheduler) -> dict[str, str]:
    results = Path(plan.results)
    in_jobs = live_tasks(results, scheduler)
    places = {}
    for point in plan.points:
        # The plan is some seconds old: a job may have finished the point since.
        state = point_state(PointPaths(results, point.point_id))
        if state is PointState.DONE:
            places[point.point_id] = "done"
        elif point.point_id in in_jobs:
            places[point.point_id] = "in jobs"
        else:
            running = state is PointState.RUNNING
            places[point.point_id] = "running" if running else "pending"
    return places


def _in(places: dict[str, str], name: str) -> tuple[str, ...]:
    return tuple(point_id for point_id, place in places.items() if place == name)


def _freeze(
    plan: Plan,
    points: Sequence[PlannedPoint],
    arrays: tuple[Array, ...],
    settings: LaunchSettings,
    command: Sequence[str],
    scheduler: Scheduler,
) -> tuple[JobPaths, Submission]:
    """Write all that the jobs will read, and last the intent to submit them."""
    results = Path(plan.results)
    snapshot = take_snapshot(results) if settings.snapshot else None
    submission = Submission(
        submission_id=uuid.uuid4().hex[:8],
        sweep=plan.name,
        launcher=scheduler.name,
        written=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        host=socket.gethostname(),
        working_folder=os.getcwd(),
        command=tuple(command),
        versions=versions(),
        code=code_digest(),
        snapshot=str(snapshot) if snapshot else None,
        max_restarts=settings.max_restarts if isinstance(settings, SlurmSettings) else 0,
        arrays=arrays,
    )
    folder = jobs_folder(SweepPaths(results, plan.name)) / submission.submission_id
    paths = JobPaths(folder.absolute())
    for point in points:
        freeze_point(paths.frozen(point.point_id), point.config, plan.name)
    write_submission(paths, submission)
    return paths, submission


def _start(paths: JobPaths, submission: Submission, scheduler: Scheduler) -> tuple[str, ...]:
    started: list[str] = []
    for array in submission.arrays:
        taken = scheduler.start(paths, submission, array, started)
        write_submitted_array(paths, taken)
        started.append(taken.job_id)
    return tuple(
        f"{job}_[0-{len(array.tasks) - 1}]"
        for job, array in zip(started, submission.arrays, strict=True)
    )
