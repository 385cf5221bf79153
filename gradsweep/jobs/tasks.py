"""The tasks of all submissions and where each one is: submissions, runs and the queue together."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from gradsweep.errors import SchedulerError
from gradsweep.jobs.records import (
    JobPaths,
    Submission,
    SubmittedArray,
    Task,
    TaskKey,
    TaskRun,
    left_to_run,
    runs_by_task,
    submissions,
    submitted_array,
)
from gradsweep.jobs.schedulers.local import live_processes
from gradsweep.jobs.schedulers.slurm import ANSWER_SECONDS, ATTEMPTS, Queued, queue, queued_tasks
from gradsweep.jobs.submit import submission_lease
from gradsweep.store.lease import holder

_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")
"""States of squeue in which a job has no process."""


class Phase(str, Enum):
    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"
    UNKNOWN = "unknown"
    """The queue does not tell, and the files do not either."""


@dataclass(frozen=True)
class JobTask:
    """One task of one submission."""

    paths: JobPaths
    submission: Submission
    array: int
    number: int
    runs: Sequence[TaskRun]
    taken: SubmittedArray | None
    phase: Phase = Phase.UNKNOWN
    reason: str = ""
    """Why it waits, in the scheduler's word."""

    @property
    def key(self) -> TaskKey:
        return (self.submission.submission_id, self.array, self.number)

    @property
    def task(self) -> Task:
        return self.submission.arrays[self.array].tasks[self.number]

    @property
    def last(self) -> TaskRun | None:
        """Its latest start."""
        return self.runs[-1] if self.runs else None

    @property
    def live(self) -> bool:
        return self.phase in (Phase.WAITING, Phase.RUNNING)

    @property
    def job_id(self) -> str:
        """`12_0` as in squeue, or a process id; empty when nobody has taken it."""
        if self.taken is None:
            return ""
        if self.taken.process_ids:
            return str(self.taken.process_ids[self.number])
        return f"{self.taken.job_id}_{self.number}"

    @property
    def logs(self) -> list[Path]:
        """The files that its processes have printed to."""
        return self.paths.logs_of(self.taken.job_id, self.number) if self.taken else []

    @property
    def left(self) -> list[str]:
        """The points that it will still run, or is running, if it lives."""
        return left_to_run(self.paths, self.task, self.runs)


@dataclass(frozen=True)
class QueueAnswer:
    """What is known of live tasks beside the files."""

    slurm: dict[TaskKey, tuple[str, Queued]] | None
    """None when squeue did not answer."""
    local: dict[TaskKey, int]
    complaint: str = ""
    """Why squeue did not answer."""


Known = Sequence[tuple[JobPaths, Submission]]


def ask_queue(
    known: Known, *, seconds: float = ANSWER_SECONDS, attempts: int = ATTEMPTS
) -> QueueAnswer:
    """Which tasks wait or run now; squeue is only asked when something was submitted to SLURM."""
    local = live_processes(known)
    in_slurm = [one for one in known if one[1].launcher == "slurm"]
    if not in_slurm:
        return QueueAnswer({}, local)
    try:
        return QueueAnswer(queued_tasks(in_slurm, queue(seconds, attempts)), local)
    except SchedulerError as error:
        return QueueAnswer(None, local, str(error).split(";")[0])


def known_submissions(results: Path) -> Known:
    return list(submissions(results))


def tasks_of(
    results: Path, known: Known, answer: QueueAnswer, alive: AbstractSet[str]
) -> list[JobTask]:
    """Every task of these submissions, oldest first, with its phase.

    Args:
        results: the results folder.
        known: its submissions.
        answer: asked before the files below were read, so that what ended since is over.
        alive: points whose lease a live process holds.
    """
    submitter = holder(submission_lease(results)) or {}
    submitting = bool(submitter) and submitter.get("pid") != os.getpid()
    found = []
    for paths, submission in known:
        for task in _tasks(paths, submission):
            if task.taken is None and submitting:
                found.append(replace(task, phase=Phase.WAITING, reason="being submitted"))
            else:
                phase, reason = _phase(task, answer, alive)
                found.append(replace(task, phase=phase, reason=reason))
    return found


def _tasks(paths: JobPaths, submission: Submission) -> Iterator[JobTask]:
    runs = runs_by_task(paths)
    for array in submission.arrays:
        taken = submitted_array(paths, array.number)
        for number in range(len(array.tasks)):
            started = runs.get((array.number, number), [])
            yield JobTask(paths, submission, array.number, number, started, taken)


def _phase(task: JobTask, answer: QueueAnswer, alive: AbstractSet[str]) -> tuple[Phase, str]:
    outcome = task.last.outcome if task.last else None
    if task.submission.launcher == "slurm":
        if answer.slurm is None:
            return _phase_by_files(task, alive), ""
        if task.key not in answer.slurm:
            return Phase.OVER, ""
        _, queued = answer.slurm[task.key]
        if queued.state in _WAITING:
            return Phase.WAITING, "" if queued.reason == "None" else queued.reason
    elif task.key not in answer.local:
        elsewhere = task.submission.host != socket.gethostname()
        return (_phase_by_files(task, alive) if elsewhere else Phase.OVER), ""
    # It has written that it ends, and the process or the queue lags a moment behind.
    over = outcome in ("ended", "stopped")
    return (Phase.OVER if over else Phase.RUNNING), ""


def _phase_by_files(task: JobTask, alive: AbstractSet[str]) -> Phase:
    if task.last is None or task.last.outcome == "requeued":
        return Phase.UNKNOWN
    if task.last.outcome != "running":
        return Phase.OVER
    return Phase.RUNNING if alive & set(task.task.point_ids) else Phase.UNKNOWN
