"""The tasks of all submissions and their whereabouts, by records, runs and schedulers together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from gradsweep.errors import ConfigError, SchedulerError
from gradsweep.jobs.records import (
    JobPaths,
    Submission,
    TaskKey,
    runs_by_task,
    submissions,
    submitted_array,
)
from gradsweep.jobs.schedulers import scheduler_class
from gradsweep.jobs.schedulers.base import Phase, TaskState
from gradsweep.jobs.tasks import JobTask
from gradsweep.store.lease import holder

Known = Sequence[tuple[JobPaths, Submission]]


@dataclass(frozen=True)
class QueueAnswer:
    """The schedulers' word on live tasks, beside the files."""

    states: Mapping[TaskKey, TaskState]
    """Tasks that are not over, of the schedulers that answered."""
    silent: Mapping[str, str]
    """Scheduler that did not answer -> "squeue does not answer (…)"; empty for one that was not
    asked."""

    @property
    def complaint(self) -> str:
        """Sentences on who did not answer; empty when all did that were asked."""
        return "; ".join(filter(None, self.silent.values()))


def submission_lease(results: Path) -> Path:
    """The lease of the one command that is submitting into a results folder."""
    return results / "sweeps" / "SUBMITTING"


def known_submissions(results: Path) -> Known:
    return list(submissions(results))


def by_scheduler(known: Known) -> dict[str, Known]:
    """Group submissions: scheduler's name -> its own."""
    names = dict.fromkeys(submission.launcher for _, submission in known)
    return {name: [entry for entry in known if entry[1].launcher == name] for name in names}


def ask_queue(known: Known, *, seconds: float | None = None) -> QueueAnswer:
    """Ask which tasks wait or run now; a scheduler only about submissions that it got.

    Args:
        known: submissions of any schedulers.
        seconds: to wait for an answer, once; None waits as long as submitting needs to.
    """
    states: dict[TaskKey, TaskState] = {}
    silent = {}
    for name, own in by_scheduler(known).items():
        try:
            scheduler = scheduler_class(name)
        except ConfigError as error:
            silent[name] = str(error)
            continue
        try:
            states |= scheduler.live(own, seconds)
        except SchedulerError as error:
            reason = str(error).split(";")[0]
            silent[name] = f"{scheduler.answers_by} does not answer ({reason})"
    return QueueAnswer(states, silent)


def tasks_of(
    results: Path, known: Known, answer: QueueAnswer, alive: AbstractSet[str]
) -> list[JobTask]:
    """Return every task of these submissions, oldest first, with its phase.

    Args:
        results: the results folder.
        known: its submissions.
        answer: asked before the files below were read, so that what ended since is over.
        alive: points whose lease a live process holds.
    """
    submitter = holder(submission_lease(results)) or {}
    submitting = bool(submitter) and submitter.get("pid") != os.getpid()
    tasks = []
    for paths, submission in known:
        for task in _tasks(paths, submission):
            if task.taken is None and submitting:
                tasks.append(replace(task, phase=Phase.WAITING, reason="being submitted"))
            else:
                phase, reason = _phase(task, answer, alive)
                tasks.append(replace(task, phase=phase, reason=reason))
    return tasks


def points_in_jobs(results: Path) -> dict[str, str]:
    """Return point_id -> the task ("12_0") that has yet to run it; waits for no scheduler.

    A task counts from when the scheduler took it until it has ended by its own account. One that
    was cancelled while it waited leaves no trace in files, and counts too: the queue knows better.
    """
    known = known_submissions(results)
    leases = (results / "points").glob("*/RUNNING*")
    alive = {path.parent.name for path in leases if holder(path)}
    points: dict[str, str] = {}
    for task in tasks_of(results, known, _quick_answer(known), alive):
        if task.taken and task.phase is not Phase.OVER and not _was_killed(task):
            points |= dict.fromkeys(task.left, task.job_id)
    return points


def _quick_answer(known: Known) -> QueueAnswer:
    """`ask_queue` of the schedulers that need to ask nobody else."""
    of_name = by_scheduler(known)
    slow = {name for name in of_name if _asks_a_service(name)}
    quick = ask_queue([entry for entry in known if entry[1].launcher not in slow])
    return replace(quick, silent=dict.fromkeys(slow, ""))


def _asks_a_service(name: str) -> bool:
    try:
        return scheduler_class(name).asks_a_service
    except ConfigError:  # of another version or machine: its files alone tell
        return True


def _tasks(paths: JobPaths, submission: Submission) -> Iterator[JobTask]:
    runs = runs_by_task(paths)
    for array in submission.arrays:
        taken = submitted_array(paths, array.number)
        for number in range(len(array.tasks)):
            started = runs.get((array.number, number), [])
            yield JobTask(paths, submission, array.number, number, started, taken)


def _phase(task: JobTask, answer: QueueAnswer, alive: AbstractSet[str]) -> tuple[Phase, str]:
    if task.submission.launcher in answer.silent:
        return _phase_by_files(task, alive), ""
    state = answer.states.get(task.key)
    if state is None:
        return Phase.OVER, ""
    if state.phase is Phase.UNKNOWN:
        return _phase_by_files(task, alive), ""
    if state.phase is Phase.WAITING:
        return Phase.WAITING, state.reason
    # It has written that it ends, and the process or the queue lags a moment behind.
    over = task.last is not None and task.last.outcome in ("ended", "stopped")
    return (Phase.OVER if over else Phase.RUNNING), ""


def _phase_by_files(task: JobTask, alive: AbstractSet[str]) -> Phase:
    if task.last is None or task.last.outcome == "requeued":
        return Phase.UNKNOWN
    if task.last.outcome != "running":
        return Phase.OVER
    return Phase.RUNNING if alive & set(task.task.point_ids) else Phase.UNKNOWN


def _was_killed(task: JobTask) -> bool:
    """Whether it left `running` behind, and nobody who holds one of its points."""
    running = task.last is not None and task.last.outcome == "running"
    return running and task.phase is Phase.UNKNOWN
