"""Makes jobs of a plan so that nothing is lost and nothing is submitted twice.

Everything a job needs is written before the scheduler hears of it: a killed command leaves
either no job, or jobs that run by themselves and are found in the queue by their names.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gradsweep.jobs.frozen import freeze_point, take_snapshot
from gradsweep.jobs.queue import submission_lease
from gradsweep.jobs.records import (
    JobPaths,
    Submission,
    TaskKey,
    jobs_folder,
    left_to_run,
    runs_by_task,
    submissions,
    write_submission,
    write_submitted_array,
)
from gradsweep.jobs.schedulers.base import Phase, Scheduler
from gradsweep.plan import Plan, PlannedPoint
from gradsweep.store import PointPaths, PointState, SweepPaths, point_state
from gradsweep.store.lease import hold_lease
from gradsweep.times import timestamp
from gradsweep.versions import code_digest, versions


@dataclass(frozen=True)
class Launched:
    """The outcome of submitting; every point of the plan is in one of the first four."""

    submitted: tuple[str, ...]
    """Points that have a new job."""
    in_jobs: tuple[str, ...]
    """Points that wait or run in jobs of earlier submissions."""
    running: tuple[str, ...]
    """Points that a process outside of these jobs is running."""
    done: tuple[str, ...]
    jobs: tuple[str, ...] = ()
    """The scheduler's names of the new jobs: `<array job id>_[0-<n>]`."""
    paths: JobPaths | None = None
    """Files of the new submission."""


@dataclass(frozen=True)
class Code:
    """The package that jobs run."""

    digest: str
    """First hex digits of the SHA-256 of its source."""
    snapshot: str | None
    """The folder of its copy; None is the installed package."""


@dataclass(frozen=True)
class Order:
    """Points that are to be submitted together."""

    results: Path
    sweep: str
    points: tuple[PlannedPoint, ...]
    scheduler: Scheduler[Any]
    command: tuple[str, ...]
    code: Code | None = None
    """None is today's."""


def submit(plan: Plan, scheduler: Scheduler[Any], command: Sequence[str]) -> Launched:
    """Submit every point of the plan that is neither done nor in a job already.

    Args:
        plan: of which all points are looked at.
        scheduler: that gets the jobs.
        command: what was typed.

    Raises:
        SchedulerError: the scheduler refuses or does not answer.
        ConfigError: `hydra.launcher` holds what cannot be, or jobs have too little memory.
        PointBusyError: another command is submitting into this results folder just now.
    """
    results = Path(plan.results)
    with hold_lease(submission_lease(results)):
        places = _places(plan, scheduler)
        pending = tuple(p for p in plan.points if places[p.point_id] == "pending")
        launched = Launched(
            submitted=_in(places, "pending"),
            in_jobs=_in(places, "in jobs"),
            running=_in(places, "running"),
            done=_in(places, "done"),
        )
        if not pending:
            return launched
        scheduler.check(pending)
        order = Order(results, plan.name, pending, scheduler, tuple(command))
        jobs, paths = hand_over(order)
        return replace(launched, jobs=jobs, paths=paths)


def hand_over(order: Order) -> tuple[tuple[str, ...], JobPaths]:
    """Make jobs of these points, whatever their state; whoever calls holds `submission_lease`.

    Returns what the scheduler calls the jobs, and the files of the submission. Raises as `submit`.
    """
    paths, submission = _freeze(order)
    return _start(paths, submission, order.scheduler), paths


def live_tasks(results: Path, scheduler: Scheduler[Any]) -> dict[str, TaskKey]:
    """Return point_id -> the task of this scheduler in which it waits or runs."""
    known = [entry for entry in submissions(results) if entry[1].launcher == scheduler.name]
    states = scheduler.live(known) if known else {}
    alive = {key for key, state in states.items() if state.phase is not Phase.UNKNOWN}
    tasks: dict[str, TaskKey] = {}
    for paths, submission in known:
        runs = runs_by_task(paths)
        for array in submission.arrays:
            for number, task in enumerate(array.tasks):
                place = (submission.submission_id, array.number, number)
                if place in alive:
                    left = left_to_run(paths, task, runs.get((array.number, number), ()))
                    tasks |= dict.fromkeys(left, place)
    return tasks


def _places(plan: Plan, scheduler: Scheduler[Any]) -> dict[str, str]:
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


def _freeze(order: Order) -> tuple[JobPaths, Submission]:
    """Write all that the jobs will read, and last the intent to submit them."""
    scheduler = order.scheduler
    code = order.code or _todays_code(order)
    submission = Submission(
        submission_id=uuid.uuid4().hex[:8],
        sweep=order.sweep,
        launcher=scheduler.name,
        written=timestamp(),
        host=socket.gethostname(),
        working_folder=os.getcwd(),
        command=order.command,
        versions=versions(),
        code=code.digest,
        snapshot=code.snapshot,
        max_restarts=scheduler.max_restarts,
        arrays=scheduler.arrays(order.points),
        settings=asdict(scheduler.settings),
    )
    folder = jobs_folder(SweepPaths(order.results, order.sweep)) / submission.submission_id
    paths = JobPaths(folder.absolute())
    for point in order.points:
        freeze_point(paths.frozen(point.point_id), point.config, order.sweep)
    write_submission(paths, submission)
    return paths, submission


def _todays_code(order: Order) -> Code:
    copied = order.scheduler.settings.snapshot
    return Code(code_digest(), str(take_snapshot(order.results)) if copied else None)


def _start(paths: JobPaths, submission: Submission, scheduler: Scheduler[Any]) -> tuple[str, ...]:
    started: list[str] = []
    for array in submission.arrays:
        taken = scheduler.start(paths, submission, array, started)
        write_submitted_array(paths, taken)
        started.append(taken.job_id)
    return tuple(
        f"{job}_[0-{len(array.tasks) - 1}]"
        for job, array in zip(started, submission.arrays, strict=True)
    )
