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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from gradsweep.jobs.fit import require_memory
from gradsweep.jobs.frozen import freeze_point
from gradsweep.jobs.records import (
    Array,
    JobPaths,
    Submission,
    SubmittedArray,
    TaskKey,
    jobs_folder,
    left_to_run,
    runs_by_task,
    submissions,
    write_submission,
    write_submitted_array,
)
from gradsweep.jobs.schedulers.local import LocalScheduler
from gradsweep.jobs.schedulers.slurm import SlurmScheduler
from gradsweep.jobs.settings import LaunchSettings, LocalSettings, SlurmSettings
from gradsweep.jobs.snapshot import code_digest, take_snapshot
from gradsweep.plan import Plan, PlannedPoint
from gradsweep.store import PointPaths, PointState, SweepPaths, point_state
from gradsweep.store.lease import hold_lease
from gradsweep.versions import versions


class Scheduler(Protocol):
    """Where tasks wait and run."""

    name: str

    def arrays(self, points: Sequence[PlannedPoint]) -> tuple[Array, ...]:
        """Which points share a task, and which tasks an array."""

    def live(self, known: Iterable[tuple[JobPaths, Submission]]) -> set[TaskKey]:
        """All tasks that wait or run."""

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


@dataclass(frozen=True)
class Code:
    """What the jobs run."""

    digest: str
    """Of the package's source."""
    snapshot: str | None
    """The folder of its copy; None is the installed package."""


@dataclass(frozen=True)
class Order:
    """Points that are to be submitted together."""

    results: Path
    sweep: str
    points: tuple[PlannedPoint, ...]
    settings: LaunchSettings
    command: tuple[str, ...]
    code: Code | None = None
    """None is today's."""


def submission_lease(results: Path) -> Path:
    """Held by the one command that is submitting into a results folder."""
    return results / "sweeps" / "SUBMITTING"


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
    with hold_lease(submission_lease(results)):
        places = _places(plan, scheduler)
        pending = tuple(p for p in plan.points if places[p.point_id] == "pending")
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
        order = Order(results, plan.name, pending, settings, tuple(command))
        jobs, paths = hand_over(order, scheduler)
        return replace(found, jobs=jobs, paths=paths)


def hand_over(order: Order, scheduler: Scheduler) -> tuple[tuple[str, ...], JobPaths]:
    """Make jobs of these points, whatever their state; whoever calls holds `submission_lease`.

    Returns what the scheduler calls the jobs, and the files of the submission. Raises as `submit`.
    """
    paths, submission = _freeze(order, scheduler)
    return _start(paths, submission, scheduler), paths


def live_tasks(results: Path, scheduler: Scheduler) -> dict[str, TaskKey]:
    """point_id -> the task in which it waits or runs."""
    known = [one for one in submissions(results) if one[1].launcher == scheduler.name]
    alive = scheduler.live(known) if known else set()
    found: dict[str, TaskKey] = {}
    for paths, submission in known:
        runs = runs_by_task(paths)
        for array in submission.arrays:
            for number, task in enumerate(array.tasks):
                place = (submission.submission_id, array.number, number)
                if place in alive:
                    left = left_to_run(paths, task, runs.get((array.number, number), ()))
                    found |= dict.fromkeys(left, place)
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


def _freeze(order: Order, scheduler: Scheduler) -> tuple[JobPaths, Submission]:
    """Write all that the jobs will read, and last the intent to submit them."""
    settings = order.settings
    code = order.code or _todays_code(order.results, settings)
    submission = Submission(
        submission_id=uuid.uuid4().hex[:8],
        sweep=order.sweep,
        launcher=scheduler.name,
        written=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        host=socket.gethostname(),
        working_folder=os.getcwd(),
        command=order.command,
        versions=versions(),
        code=code.digest,
        snapshot=code.snapshot,
        max_restarts=settings.max_restarts if isinstance(settings, SlurmSettings) else 0,
        arrays=scheduler.arrays(order.points),
        settings=asdict(settings),
    )
    folder = jobs_folder(SweepPaths(order.results, order.sweep)) / submission.submission_id
    paths = JobPaths(folder.absolute())
    for point in order.points:
        freeze_point(paths.frozen(point.point_id), point.config, order.sweep)
    write_submission(paths, submission)
    return paths, submission


def _todays_code(results: Path, settings: LaunchSettings) -> Code:
    return Code(code_digest(), str(take_snapshot(results)) if settings.snapshot else None)


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
