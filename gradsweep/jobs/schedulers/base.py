"""The contract between jobs and whatever runs them.

Hydra reads the settings of every scheduler at every start, also of programs that are not this one.
So this module and those of the schedulers import little: plan and store only inside methods.
"""

from __future__ import annotations

import os
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Optional, TypeVar

from gradsweep.errors import ConfigError
from gradsweep.jobs.place import Place
from gradsweep.whole_numbers import check_whole

if TYPE_CHECKING:
    from typing_extensions import Self

    from gradsweep.config import Config
    from gradsweep.jobs.records import JobPaths, Submission, SubmittedArray, TaskKey
    from gradsweep.jobs.tasks import JobTask
    from gradsweep.plan import PlannedPoint
    from gradsweep.plan.estimate import Hardware
    from gradsweep.plan.grouping import Array, Foreseen

NAME_PREFIX = "gradsweep-"
"""Beginning of every job's name, by which our jobs are found in a queue."""
RUNNER = "run_job.py"
"""The script in a snapshot's folder: a script's own folder is where Python looks for packages
first."""


@dataclass
class LaunchSettings:
    """Fields of `hydra.launcher` that every scheduler has."""

    points_per_job: Optional[int] = None
    """Points that one job runs one after the other, all of one model, whose weights it loads once.
    None leaves it to the scheduler."""
    array_parallelism: int = 1
    """Jobs of one submission that run at the same time, over all of its arrays."""
    shards: int = 1
    """Tasks among which the samples of every point are shared out: for few points on many GPUs.
    Results do not depend on it."""
    wait: bool = False
    """Follow the jobs until they end; false returns as soon as they are submitted."""
    snapshot: bool = True
    """Jobs run a copy of the package as it was when they were submitted."""
    check_memory: bool = True
    """Refuse to submit points whose estimated memory is more than a job has."""

    def __post_init__(self) -> None:
        for name in ("points_per_job", "array_parallelism", "shards"):
            check_whole(f"hydra.launcher.{name}", getattr(self, name))


SettingsT = TypeVar("SettingsT", bound=LaunchSettings)


class Phase(str, Enum):
    """The whereabouts of a task."""

    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"
    UNKNOWN = "unknown"
    """Neither its scheduler nor its files tell."""


@dataclass(frozen=True)
class TaskState:
    """A scheduler's word on a task that is not over."""

    phase: Phase
    reason: str = ""
    """The scheduler's word for why it waits; empty when it does not say."""


class Scheduler(ABC, Generic[SettingsT]):
    """Whatever runs tasks. One class tells all about it; nothing else asks which one it is.

    A new scheduler is one module in this folder with such a class, one YAML in
    `conf/hydra/launcher`, and one test: `class TestMine(SchedulerContract)`.
    """

    name: ClassVar[str]
    """Name in `hydra.launcher.scheduler` and in the records of submissions. A class outside of this
    folder gives none and is known by its dotted path."""
    settings_class: ClassVar[type[LaunchSettings]]
    """Types and checks of `hydra.launcher.*`."""
    answers_by: ClassVar[str]
    """Name of whoever is asked where jobs are: "squeue"."""
    asks_a_service: ClassVar[bool] = True
    """Whether `live` waits for somebody's answer; then a quick look, as `plan`, does without."""
    shared: ClassVar[bool] = True
    """Whether jobs wait in a queue beside those of others: `plan` counts their hours."""
    requeues: ClassVar[bool] = False
    """Whether a job that is warned of its end can put itself back into the queue."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not hasattr(cls, "name"):
            cls.name = f"{cls.__module__}.{cls.__qualname__}"

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings

    @classmethod
    def configured(cls, given: Mapping[str, Any]) -> Self:
        """Make a scheduler with these settings; raises ConfigError for a field it does not have."""
        allowed = [field.name for field in fields(cls.settings_class)]
        if unknown := sorted(set(given) - set(allowed)):
            raise ConfigError(
                f"hydra.launcher.{', '.join(unknown)}: not a setting of {cls.name}; "
                f"allowed are {', '.join(allowed)}"
            )
        return cls(cls.settings_class(**given))  # type: ignore[arg-type]

    @classmethod
    def restored(cls, recorded: Mapping[str, Any]) -> Self:
        """Make a scheduler with the recorded settings of a submission, also of another version."""
        allowed = {field.name for field in fields(cls.settings_class)}
        return cls.configured({name: v for name, v in recorded.items() if name in allowed})

    # Before submitting; also what `plan` tells (gradsweep.plan.scheduling.JobPlanner).

    @abstractmethod
    def hardware(self, config: Config) -> Hardware:
        """Return what a process of a job of this point has for itself, as far as settings say."""

    @abstractmethod
    def arrays(self, points: Sequence[PlannedPoint]) -> tuple[Array, ...]:
        """Decide which points share a task, and which tasks an array, as they are submitted.

        Raises:
            SchedulerError: a limit has to be asked for and nobody answers.
        """

    def foresee(self, points: Sequence[PlannedPoint]) -> Foreseen:
        """Return `arrays` for a quick look, which does without slow answers and says so."""
        from gradsweep.plan.grouping import Foreseen

        return Foreseen(self.arrays(points))

    def processes(self, array: Array) -> int:
        """Count the processes of each job of this array, which share out its points' samples."""
        return 1

    def time_limit(self, array: Array) -> float | None:
        """Return the seconds after which a job is ended; None without a limit."""
        return None

    def array_name(self, array: Array) -> str:
        """Return the words that begin the lines of `plan` about this array."""
        return f"array {array.number}"

    def options(self, array: Array) -> dict[str, str]:
        """Return further lines of `plan` about an array: name -> text, such as its options."""
        return {}

    @abstractmethod
    def summary(self, arrays: Sequence[Array]) -> str:
        """Describe all jobs in some words: "70 in 1 array, 64 at a time"."""

    def check(self, points: Sequence[PlannedPoint]) -> None:
        """Raise ConfigError for points that its jobs could not run; nothing is written yet."""
        from gradsweep.plan.fit import require_memory

        if self.settings.check_memory:
            require_memory(points, self.hardware)

    # Submitting.

    @property
    def max_restarts(self) -> int:
        """Times that a job may put itself back into the queue."""
        return 0

    @abstractmethod
    def start(
        self, paths: JobPaths, submission: Submission, array: Array, earlier: Sequence[str]
    ) -> SubmittedArray:
        """Hand over one array; `earlier` are the job ids of the submission's arrays before it.

        What a task's first process prints goes to `paths.log(job_id, task)`.

        Raises:
            SchedulerError: it is refused, with the scheduler's words.
            ConfigError: a setting that the scheduler does not have.
        """

    # Looking at what was submitted. Submissions differ in their settings, which do not matter here.

    @classmethod
    @abstractmethod
    def live(
        cls, known: Sequence[tuple[JobPaths, Submission]], seconds: float | None = None
    ) -> dict[TaskKey, TaskState]:
        """Return every task of these submissions that waits or runs; the others are over.

        UNKNOWN are those that cannot be told from here.

        Args:
            known: submissions of this scheduler.
            seconds: to wait for an answer, once, for somebody who looks; None is as patient as
                submitting needs to be.

        Raises:
            SchedulerError: no answer; then nothing is known about any job.
        """

    @classmethod
    def endings(cls, job_ids: Sequence[str], since: str) -> dict[str, str]:
        """Tell how jobs that ended without a word were ended: job id -> "TIMEOUT, says sacct".

        Without those of which nobody knows.

        Args:
            job_ids: as `JobTask.job_id` has them.
            since: ISO time before they were submitted.
        """
        return {}

    @classmethod
    @abstractmethod
    def cancel(cls, tasks: Sequence[JobTask]) -> list[str]:
        """End these tasks, of this scheduler; one that is over already is no problem.

        Returns what could not be done and what to do about it, a sentence each.
        """

    # Inside a job.

    @classmethod
    def place(cls, environment: Mapping[str, str]) -> Place:
        """Tell where this process finds itself, by the environment variables of a job."""
        return Place(str(os.getpid()), socket.gethostname())

    @classmethod
    def requeue(cls, job_id: str) -> str | None:
        """Put the job that calls this back into the queue; returns why that was refused."""
        return f"{cls.name} puts no job back into the queue"

    @classmethod
    def outside(cls, environment: Mapping[str, str]) -> dict[str, str]:
        """Return these variables without what an enclosing job would hand down."""
        return dict(environment)


def job_command(paths: JobPaths, submission: Submission, array: int) -> list[str]:
    """Return the command of every job of an array; the number of its task may follow."""
    start = [sys.executable, "-u"]
    if submission.snapshot:
        start.append(str(Path(submission.snapshot) / RUNNER))
    else:
        start += ["-m", "gradsweep.jobs.run"]
    return [*start, str(paths.folder.absolute()), str(array)]
