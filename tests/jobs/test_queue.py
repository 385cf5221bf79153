"""Which points wait in jobs, told by the files that submissions and jobs leave."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.submitted_grid import taken_by_slurm

from gradsweep.jobs.queue import points_in_jobs
from gradsweep.jobs.records import (
    JobPaths,
    SubmittedArray,
    TaskRun,
    write_run,
    write_submitted_array,
)
from gradsweep.plan.grouping import Task
from gradsweep.store import PointPaths
from gradsweep.store.lease import hold_lease

RUN = TaskRun(0, 0, 0, "12_0", "node1", 1, "now")


@pytest.fixture
def submitted(tmp_path: Path) -> JobPaths:
    """One array of two tasks, points a b and c, which SLURM has taken as job 12."""
    return taken_by_slurm(tmp_path, Task("m", ("a", "b")), Task("m", ("c",)))


MakeRun = Callable[..., None]


@pytest.fixture
def run(submitted: JobPaths) -> MakeRun:
    """Writes what the first task would write of itself."""

    def write(**changes: object) -> None:
        write_run(submitted, dataclasses.replace(RUN, **changes))  # type: ignore[arg-type]

    return write


def test_what_was_taken_waits(submitted: JobPaths, tmp_path: Path) -> None:
    assert points_in_jobs(tmp_path) == {"a": "12_0", "b": "12_0", "c": "12_1"}


def test_what_nobody_took_does_not(submitted: JobPaths, tmp_path: Path) -> None:
    submitted.array(0).unlink()
    assert points_in_jobs(tmp_path) == {}


def test_a_running_job_still_has_the_points_that_are_not_over(run: MakeRun, tmp_path: Path) -> None:
    run(current="b", points={"a": "done"})
    with hold_lease(PointPaths(tmp_path, "b").running):
        assert points_in_jobs(tmp_path) == {"b": "12_0", "c": "12_1"}


def test_a_job_whose_point_nobody_holds_was_killed(run: MakeRun, tmp_path: Path) -> None:
    run(current="b", points={"a": "done"})
    assert points_in_jobs(tmp_path) == {"c": "12_1"}


@pytest.mark.parametrize(("outcome", "waits"), [("ended", 0), ("stopped", 0), ("requeued", 2)])
def test_a_job_that_has_ended_waits_for_nothing(
    run: MakeRun, tmp_path: Path, outcome: str, waits: int
) -> None:
    run(outcome=outcome)
    assert list(points_in_jobs(tmp_path).values()).count("12_0") == waits


def test_the_last_start_counts(run: MakeRun, tmp_path: Path) -> None:
    run(outcome="requeued")
    run(outcome="ended", restart=1)
    assert points_in_jobs(tmp_path) == {"c": "12_1"}


def test_local_processes_count_while_they_live(submitted: JobPaths, tmp_path: Path) -> None:
    text = submitted.submission.read_text().replace('"slurm"', '"local"')
    text = text.replace('"host": "host"', f'"host": "{socket.gethostname()}"')
    submitted.submission.write_text(text)
    write_submitted_array(submitted, SubmittedArray(0, "local", "now", (os.getpid(), 1)))
    assert points_in_jobs(tmp_path) == {}, "these processes are not of this submission"
