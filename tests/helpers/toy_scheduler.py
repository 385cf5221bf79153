"""A scheduler of one's own, in one class: threads of this process that wait for their end."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar

from gradsweep.config import Config
from gradsweep.errors import ConfigError
from gradsweep.jobs.records import JobPaths, Submission, SubmittedArray, TaskKey, submitted_array
from gradsweep.jobs.schedulers.base import LaunchSettings, Phase, Scheduler, TaskState
from gradsweep.jobs.tasks import JobTask
from gradsweep.plan import PlannedPoint
from gradsweep.plan.estimate import Hardware
from gradsweep.plan.grouping import Array, group_points, make_arrays


@dataclass
class ToySettings(LaunchSettings):
    """Fields of `hydra/launcher=toy`."""

    colour: str = "red"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.colour not in ("red", "blue"):
            raise ConfigError(f"hydra.launcher.colour must be red or blue, got {self.colour}")


class ToyScheduler(Scheduler[ToySettings]):
    """Threads that do nothing until `end`."""

    settings_class = ToySettings
    answers_by = "the toy"
    asks_a_service = False
    shared = False
    requeues = True
    jobs: ClassVar[dict[str, tuple[threading.Thread, threading.Event]]] = {}
    """Job id -> its thread, and what ends it."""
    ended: ClassVar[dict[str, str]] = {}
    """Job id -> how it ended."""
    numbers: ClassVar[Any] = count(1)

    def hardware(self, config: Config) -> Hardware:
        return Hardware("cpu", "toy", 4.0, cores=1)

    def arrays(self, points: Sequence[PlannedPoint]) -> tuple[Array, ...]:
        settings = self.settings
        tasks = group_points(points, settings.points_per_job or 1, lambda model: settings.shards)
        return make_arrays(tasks, lambda model: {}, settings.array_parallelism, len(tasks))

    def options(self, array: Array) -> dict[str, str]:
        return {"colour": self.settings.colour}

    def summary(self, arrays: Sequence[Array]) -> str:
        return f"{sum(len(array.tasks) for array in arrays)} toys"

    def start(
        self, paths: JobPaths, submission: Submission, array: Array, earlier: Sequence[str]
    ) -> SubmittedArray:
        job_id = f"toy{next(self.numbers)}"
        for number in range(len(array.tasks)):
            self._run(f"{job_id}_{number}")
        return SubmittedArray(array.number, job_id, "2026-01-01T10:00:00+0000")

    @classmethod
    def _run(cls, job_id: str) -> None:
        over = threading.Event()
        thread = threading.Thread(target=over.wait, daemon=True)
        cls.jobs[job_id] = (thread, over)
        thread.start()

    @classmethod
    def end(cls, job_id: str, how: str) -> None:
        thread, over = cls.jobs[job_id]
        over.set()
        thread.join()
        cls.ended[job_id] = how

    @classmethod
    def live(
        cls, known: Sequence[tuple[JobPaths, Submission]], seconds: float | None = None
    ) -> dict[TaskKey, TaskState]:
        states = {}
        for paths, submission in known:
            for array in submission.arrays:
                taken = submitted_array(paths, array.number)
                for number in range(len(array.tasks) if taken else 0):
                    thread, _ = cls.jobs[f"{taken.job_id}_{number}"]  # type: ignore[union-attr]
                    if thread.is_alive():
                        key = (submission.submission_id, array.number, number)
                        states[key] = TaskState(Phase.RUNNING)
        return states

    @classmethod
    def endings(cls, job_ids: Sequence[str], since: str) -> dict[str, str]:
        return {i: f"{cls.ended[i]}, says the toy" for i in job_ids if i in cls.ended}

    @classmethod
    def cancel(cls, tasks: Sequence[JobTask]) -> list[str]:
        for task in tasks:
            cls.end(task.job_id, "cancelled")
        return []

    @classmethod
    def requeue(cls, job_id: str) -> str | None:
        if job_id not in cls.jobs:
            return f"the toy knows no {job_id}"
        cls.end(job_id, "requeued")
        cls._run(job_id)
        return None
