"""The questions of a forecast to a scheduler. Schedulers are above, in `gradsweep.jobs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gradsweep.config import Config
from gradsweep.plan.estimate import Hardware
from gradsweep.plan.grouping import Array, Foreseen
from gradsweep.plan.points import PlannedPoint


class JobPlanner(Protocol):
    """The side of a scheduler that plans; see `gradsweep.jobs.schedulers.base.Scheduler`."""

    @property
    def shared(self) -> bool:
        """Whether jobs wait in a queue beside those of others, and their hours are counted."""

    @property
    def requeues(self) -> bool:
        """Whether a job that reaches its time limit goes on by itself."""

    def hardware(self, config: Config) -> Hardware:
        """Return what a process of a job of this point has for itself."""

    def foresee(self, points: Sequence[PlannedPoint]) -> Foreseen:
        """The arrays that would be submitted, without waiting long for anybody."""

    def processes(self, array: Array) -> int:
        """Processes of each job, which share out the samples of its points."""

    def time_limit(self, array: Array) -> float | None:
        """Seconds after which a job is ended; None without a limit."""

    def array_name(self, array: Array) -> str:
        """Return the words that begin the lines about an array."""

    def options(self, array: Array) -> dict[str, str]:
        """Name -> text of further lines about an array."""

    def summary(self, arrays: Sequence[Array]) -> str:
        """All jobs in some words."""
