"""A submitted grid without a cluster: what its jobs would have left behind is written through
the store and the records of the launchers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gradsweep.identity import point_record
from gradsweep.jobs.records import (
    JobPaths,
    Submission,
    SubmittedArray,
    TaskRun,
    submissions,
    write_run,
    write_submission,
    write_submitted_array,
)
from gradsweep.jobs.schedulers.base import Scheduler
from gradsweep.jobs.schedulers.slurm import SlurmScheduler, SlurmSettings
from gradsweep.jobs.status.lines import Line, State, SweepStatus
from gradsweep.jobs.status.observer import Observer
from gradsweep.jobs.submit import submit
from gradsweep.plan import Plan, PlannedPoint
from gradsweep.plan.grouping import Array, Task
from gradsweep.records import SampleResult, SampleStatus
from gradsweep.store import PointPaths
from gradsweep.store.point import PointStore, open_point

BEGAN = "2026-01-01T10:00:00+0000"
COMMAND = ["python", "-m", "gradsweep", "-m", "cot=none,detailed"]


def sample(index: int, seconds: float = 2.0, status: SampleStatus = SampleStatus.OK) -> Any:
    return SampleResult(f"s{index}", f"q{index}", index, status, seconds=seconds)


def taken_by_slurm(results: Path, *tasks: Task) -> JobPaths:
    """Files of a submission of these tasks as one array, which SLURM has taken as job 12."""
    paths = JobPaths(results / "sweeps" / "mine" / "jobs" / "abcd1234")
    submission = Submission(
        *("abcd1234", "mine", "slurm", "now", "host", "/", ("command",), {}, "code"),
        snapshot=None,
        max_restarts=0,
        arrays=(Array(0, len(tasks), {}, tasks),),
    )
    write_submission(paths, submission)
    write_submitted_array(paths, SubmittedArray(0, "12", "now"))
    return paths


@dataclass
class Cluster:
    """A grid of one task of two points (none, detailed) and what its jobs have left behind."""

    plan: Plan

    @property
    def results(self) -> Path:
        return Path(self.plan.results)

    @property
    def points(self) -> tuple[PlannedPoint, ...]:
        return self.plan.points

    def files(self, number: int) -> PointPaths:
        return PointPaths(self.results, self.points[number].point_id)

    def submit(self, scheduler: Scheduler[Any] | None = None) -> tuple[JobPaths, Submission]:
        two = SlurmSettings(points_per_job=2, snapshot=False)
        submit(self.plan, scheduler or SlurmScheduler(two), COMMAND)
        return self.submissions()[-1]

    def submissions(self) -> list[tuple[JobPaths, Submission]]:
        return list(submissions(self.results))

    def began(self, paths: JobPaths, current: int | None = None, **changes: Any) -> TaskRun:
        """A start of the task, as the job notes it."""
        identity = self.points[current].point_id if current is not None else None
        known: dict[str, Any] = {"restart": 0, "started": BEGAN, "current": identity}
        known |= {"job_id": "12_0", "node": "n01", "process_id": 1}
        run = TaskRun(0, 0, **(known | changes))
        write_run(paths, run)
        return run

    def store(self, number: int, write: Callable[[PointStore], None]) -> None:
        """What a process that measures this point does while it holds the lease."""
        with open_point(self.files(number), point_record(self.points[number].config)) as store:
            write(store)

    def stop(self, number: int, n_samples: int = 1) -> None:
        self.store(number, lambda store: store.append([sample(i) for i in range(n_samples)]))

    def finish(self, number: int, n_samples: int = 4) -> None:
        def write(store: PointStore) -> None:
            store.append([sample(i) for i in range(n_samples)])
            store.finish({"samples": {"ok": n_samples}, "seconds": 2.0 * n_samples})

        self.store(number, write)

    def fail(self, number: int, message: str = "a bad\npoint") -> None:
        def write(store: PointStore) -> None:
            raise RuntimeError(message)

        with pytest.raises(RuntimeError):
            self.store(number, write)

    def lose(self, number: int) -> None:
        """kill -9 leaves the lease behind, and nobody holds its lock."""
        self.stop(number)
        self.files(number).running.write_text("{}")

    def look(self) -> SweepStatus:
        observer = Observer(self.results)
        return observer.look(observer.ask())

    def lines(self) -> list[Line]:
        """In the order of the plan."""
        found = {line.point_id: line for line in self.look().lines}
        return [found[point.point_id] for point in self.points]

    def states(self) -> list[State]:
        return [line.state for line in self.lines()]
