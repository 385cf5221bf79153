"""A task of a submission, with what its runs and its scheduler say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gradsweep.jobs.records import (
    JobPaths,
    Submission,
    SubmittedArray,
    TaskKey,
    TaskRun,
    left_to_run,
)
from gradsweep.jobs.schedulers.base import Phase
from gradsweep.plan.grouping import Task


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
    """The scheduler's word for why it waits."""

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
        """The scheduler's name: `12_0`, or a process id; empty when nobody has taken it."""
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
        """Points that it will still run, or is running, if it lives."""
        return left_to_run(self.paths, self.task, self.runs)
