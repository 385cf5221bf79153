"""The records of `status`: a line for each point, and all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from gradsweep.jobs.status.efficiency import Efficiency
from gradsweep.jobs.status.points import KnownPoint
from gradsweep.jobs.tasks import JobTask


class State(str, Enum):
    """State of a point and its jobs together, in the order in which a person wants to see them."""

    RUNNING = "running"
    FAILED = "failed"
    LOST = "lost"
    """Its process ended without a word: killed, out of memory, or with its node."""
    STOPPED = "stopped"
    """Started, not finished, and in no job."""
    QUEUED = "queued"
    """In a job that waits, or that has other points to run first."""
    SUBMITTED = "submitted"
    """Queued, or not any more: the queue does not answer."""
    NEW = "new"
    """Planned, never started, and in no job."""
    DONE = "done"


GOING_ON = (State.RUNNING, State.QUEUED, State.SUBMITTED)
LEFT = (State.LOST, State.STOPPED, State.NEW)
"""Neither done nor failed, and nobody is going to run it."""


@dataclass(frozen=True)
class Line:
    """One point."""

    point: KnownPoint
    state: State
    n_stored: int
    """Samples with an outcome on disk."""
    n_bad: int
    """Stored samples that could not be measured."""
    total: int | None
    """Samples of a point that is done; of another one at most so many. None: nobody knows."""
    seconds: float
    """Seconds spent on measuring what is stored."""
    rate: float | None
    """Samples per second of late, while it runs."""
    tasks: tuple[JobTask, ...]
    """Live tasks that hold it, or else the last one that did."""
    note: str
    """Reason why it failed or waits, or who runs it outside of jobs."""

    @property
    def point_id(self) -> str:
        return self.point.point_id

    @property
    def left(self) -> int:
        return max(0, (self.total or 0) - self.n_stored)

    @property
    def left_seconds(self) -> float | None:
        return self.left / self.rate if self.rate else None


@dataclass(frozen=True)
class SweepStatus:
    """The lines of a results folder, or of a sweep of it, at one moment."""

    lines: tuple[Line, ...]
    tasks: tuple[JobTask, ...]
    """Tasks of all submissions that hold any of these points."""
    efficiency: Efficiency | None
    """None when none of these points was in a job."""
    complaint: str
    """Who did not answer and why; empty when all did that had to be asked."""

    @property
    def counts(self) -> dict[State, int]:
        counts = Counter(line.state for line in self.lines)
        return {state: counts[state] for state in State if counts[state]}

    def of(self, *states: State) -> list[Line]:
        return [line for line in self.lines if line.state in states]

    @property
    def over(self) -> bool:
        """Whether nothing waits or runs any more."""
        return not self.of(*GOING_ON)

    @property
    def rate(self) -> float:
        """Samples per second of all points that run."""
        return sum(line.rate or 0 for line in self.lines)

    @property
    def left_seconds(self) -> float | None:
        """Seconds until what runs and waits is done, at the present rate; None while nothing is
        measured.

        A guess: points that wait may be slower or faster than those that run, and more jobs may
        run side by side later.
        """
        left = sum(line.left for line in self.of(*GOING_ON))
        return left / self.rate if left and self.rate else None


def total_text(lines: Sequence[Line]) -> str:
    """Sum up samples: "1200 of ≤4000 (30 %)". Data of points that are not done may have fewer."""
    stored = sum(line.n_stored for line in lines)
    if all(line.state is State.DONE for line in lines):
        return str(stored)
    total = sum(max(line.total or 0, line.n_stored) for line in lines)
    unknown = " or more" if any(line.total is None for line in lines) else ""
    share = f" ({100 * stored // total} %)" if total else ""
    return f"{stored} of ≤{total}{unknown}{share}"
