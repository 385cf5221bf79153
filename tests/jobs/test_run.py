"""What a job does with its points, with a stand-in for measuring them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gradsweep.extraction
from gradsweep.config import Config
from gradsweep.errors import StopRequested
from gradsweep.identity import point_id
from gradsweep.jobs import run as job_module
from gradsweep.jobs.records import JobPaths, SubmittedArray, TaskRun, submissions, task_runs
from gradsweep.jobs.run import Job
from gradsweep.jobs.schedulers.local import LocalScheduler, LocalSettings
from gradsweep.jobs.schedulers.slurm import commands
from gradsweep.jobs.submit import submit
from gradsweep.plan import Plan
from gradsweep.records import Shard
from gradsweep.store import PointPaths, PointState, point_state
from gradsweep.store.atomic import write_text
from gradsweep.store.lease import hold_lease

MakePlan = Callable[..., Plan]


class Measuring:
    """In place of `extract`: notes seeds and does what a test says."""

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.at: dict[int, Callable[[], None]] = {}

    def __call__(
        self, config: Config, *, label: str, stop: Callable[[], bool], shard: Shard
    ) -> None:
        self.seeds.append(config.seed)
        self.at.get(config.seed, lambda: None)()
        if stop():
            raise StopRequested
        write_text(PointPaths(config.results, point_id(config)).done, "{}")


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Measuring:
    measuring = Measuring()
    monkeypatch.setattr(gradsweep.extraction, "extract", measuring)
    return measuring


@pytest.fixture
def prepared(grid: MakePlan, monkeypatch: pytest.MonkeyPatch) -> tuple[JobPaths, list[PointPaths]]:
    """A submitted task of three points that nobody has started."""

    def start(self: Any, paths: Any, submission: Any, array: Any, earlier: Any) -> SubmittedArray:
        return SubmittedArray(array.number, "local", "now")

    monkeypatch.setattr(LocalScheduler, "start", start)
    plan = grid("seed=0,1,2", "n_samples=2")
    submit(plan, LocalScheduler(LocalSettings(snapshot=False)), ["command"])
    ((paths, _),) = submissions(Path(plan.results))
    return paths, [PointPaths(Path(plan.results), point.point_id) for point in plan.points]


@pytest.fixture(autouse=True)
def own_signals() -> Any:
    """A job's handlers end with the test."""
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def last_run(paths: JobPaths) -> TaskRun:
    return task_runs(paths, 0, 0)[-1]


def test_a_failing_point_is_recorded_and_the_next_one_goes_on(
    prepared: tuple[JobPaths, list[PointPaths]], measuring: Measuring
) -> None:
    paths, points = prepared

    def fail() -> None:
        raise ValueError("a bad point")

    measuring.at[1] = fail
    assert Job(paths, 0, 0)() == 1
    assert measuring.seeds == [0, 1, 2]
    assert list(last_run(paths).points.values()) == ["done", "failed", "done"]
    failure = json.loads(points[1].failed.read_text())
    assert "a bad point" in failure["message"]
    assert point_state(points[1]) is PointState.FAILED


def test_done_points_are_skipped(
    prepared: tuple[JobPaths, list[PointPaths]], measuring: Measuring
) -> None:
    paths, points = prepared
    points[0].folder.mkdir(parents=True)
    points[0].done.write_text("{}")
    assert Job(paths, 0, 0)() == 0
    assert measuring.seeds == [1, 2]


def test_a_point_of_a_live_process_is_left_to_it(
    prepared: tuple[JobPaths, list[PointPaths]],
    measuring: Measuring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths, points = prepared
    monkeypatch.setattr(job_module, "POLL_SECONDS", 0.01)
    with hold_lease(points[0].running):
        beats = iter(range(1, 1000))
        monkeypatch.setattr(job_module, "_beat", lambda point: float(next(beats)))
        assert Job(paths, 0, 0)() == 0
    assert measuring.seeds == [1, 2]
    assert last_run(paths).points[points[0].point_id] == "elsewhere"


def test_a_cancelled_point_is_skipped_or_given_up_and_the_others_go_on(
    prepared: tuple[JobPaths, list[PointPaths]], measuring: Measuring
) -> None:
    paths, points = prepared
    paths.cancelled(points[0].point_id).parent.mkdir()
    paths.cancelled(points[0].point_id).touch()
    measuring.at[1] = paths.cancelled(points[1].point_id).touch
    assert Job(paths, 0, 0)() == 0
    assert measuring.seeds == [1, 2]
    assert list(last_run(paths).points.values()) == ["cancelled", "cancelled", "done"]
    assert not points[1].failed.exists()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM])
def test_a_warned_job_stops_after_the_batch_and_leaves_no_failure(
    prepared: tuple[JobPaths, list[PointPaths]], measuring: Measuring, number: signal.Signals
) -> None:
    paths, points = prepared
    measuring.at[1] = lambda: os.kill(os.getpid(), number)
    assert Job(paths, 0, 0)() == 1
    assert measuring.seeds == [0, 1]
    assert not points[1].failed.exists()
    assert last_run(paths).outcome == "stopped", "nobody requeues a local process"
    measuring.at = {}
    assert Job(paths, 0, 0)() == 0
    assert [run.restart for run in task_runs(paths, 0, 0)] == [0, 1]


@pytest.mark.parametrize(("number", "requeued"), [(signal.SIGUSR2, ["7_0"]), (signal.SIGTERM, [])])
def test_on_slurm_a_warned_job_requeues_itself_and_a_cancelled_one_does_not(
    prepared: tuple[JobPaths, list[PointPaths]],
    measuring: Measuring,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    requeued: list[str],
) -> None:
    paths, _ = prepared
    raw = json.loads(paths.submission.read_text())
    paths.submission.write_text(json.dumps(raw | {"launcher": "slurm", "max_restarts": 9}))
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    asked: list[str] = []
    monkeypatch.setattr(commands, "requeue", asked.append)  # None: not refused
    measuring.at[1] = lambda: os.kill(os.getpid(), number)
    assert Job(paths, 0, 0)() == 1
    assert asked == requeued
