"""`status`, `logs`, `retry` and `cancel` on a real SLURM, as a person types them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from helpers.patience import PATIENCE_SECONDS, wait_until
from helpers.slurm_grid import NEEDS_SLURM, ON_SLURM, Grid, clean_environment, slurm, wrapper

from gradsweep.jobs.records import submissions, task_runs
from gradsweep.store import PointState

pytestmark = NEEDS_SLURM

LONG = ("n_samples=800", "gradients.batch_tokens=1", "gradients.workers=1")
HELD = "+hydra.launcher.additional_parameters.hold=true"
MakeGrid = Callable[..., Grid]


def verb(grid: Grid, *words: str, expect: int = 0) -> str:
    """What `python -m gradsweep <words>` says, on stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "gradsweep", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean_environment() | {"COLUMNS": "200"} | grid.environment,
        cwd=grid.results.parent,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == expect, done.stdout
    return done.stdout


def shown(grid: Grid, point_id: str) -> str:
    """The point's line in the table of `status`; notes come below it."""
    lines = verb(grid, "status").splitlines()
    return next(line for line in lines if point_id[:8] in line.split())


def release(grid: Grid) -> None:
    slurm("scontrol", "release", *{element.split("_")[0] for element in grid.queued()})


def test_waiting_and_running_jobs_are_seen_cancelled_and_retried(
    make_grid: MakeGrid, one_model: list[str]
) -> None:
    grid = make_grid(*one_model, *LONG, "seed=0,1,2", *ON_SLURM)
    grid.run(HELD)
    first, second, third = grid.planned()
    text = verb(grid, "status")
    assert "3 queued" in text
    assert "JobHeldUser" in text, "why they wait"
    assert "has not begun" in verb(grid, "logs", first)

    assert "had not started" in verb(grid, "cancel", first)
    wait_until(lambda: len(grid.queued()) == 2, "the end of the cancelled element", pause=1)
    assert "new" in shown(grid, first)
    release(grid)
    wait_until(
        lambda: grid.stored(second) > 20 and grid.stored(third) > 20, "some samples", pause=1
    )
    line = shown(grid, second)
    (element,) = (e for e, points in grid.elements().items() if second in points)
    node = slurm("squeue", "-h", "-j", element, "-o", "%N").strip()
    assert all(word in line.split() for word in ("running", element, node)), line
    assert f"job {element} on {node}, start 1" in verb(grid, "logs", second)

    verb(grid, "cancel", "--all")
    grid.finish()
    assert [grid.state(i) for i in (second, third)] == [PointState.STOPPED] * 2
    said = verb(grid, "retry")
    assert all(point_id in said for point_id in (first, second, third))
    assert "nothing to submit" in verb(grid, "retry"), "they are in jobs"
    release(grid)  # the same settings: held again
    watched = verb(grid, "status", "--watch", "2")
    assert "3 done" in watched
    grid.finish()
    grid.assert_done()
    local = make_grid(*one_model, *LONG, "seed=0,1,2")
    local.run()
    grid.assert_same_results(local)


def test_a_failed_and_a_killed_point_are_told_apart_and_retried(
    make_grid: MakeGrid, one_model: list[str]
) -> None:
    lengths = "model.max_length=2,1023"  # 2 tokens leave no response
    grid = make_grid(*one_model, *LONG, lengths, *ON_SLURM)
    grid.run()
    failing, killed = grid.planned()
    wait_until(lambda: grid.stored(killed) > 20, "some samples", pause=1)
    wait_until(lambda: grid.state(failing) is PointState.FAILED, "the failure", pause=1)
    ((paths, submission),) = submissions(grid.results)
    (number,) = (n for n, t in enumerate(submission.arrays[0].tasks) if killed in t.point_ids)
    os.kill(task_runs(paths, 0, number)[-1].process_id, signal.SIGKILL)
    grid.finish()
    text = verb(grid, "status")
    assert "1 failed, 1 lost" in text
    assert "none of the 800 samples could be measured" in text
    assert "none of the 800 samples could be measured" in verb(grid, "logs", failing)

    said = verb(grid, "retry", "--failed")
    assert failing in said
    assert killed not in said
    said = verb(grid, "retry", "--missing")
    assert killed in said
    assert failing not in said
    verb(grid, "status", "--watch", "2")
    grid.finish()
    assert grid.state(killed) is PointState.DONE
    assert grid.state(failing) is PointState.FAILED


def test_without_squeue_status_looks_at_files_and_retry_refuses(
    make_grid: MakeGrid, one_model: list[str], tmp_path: Path
) -> None:
    grid = make_grid(*one_model, "seed=0,1", "n_samples=2", *ON_SLURM)
    grid.run(HELD)
    grid.environment = wrapper(tmp_path / "bin", "squeue", ["echo out of order >&2", "exit 1"])
    text = verb(grid, "status")
    assert "squeue does not answer" in text
    assert "out of order" in text
    assert "2 submitted" in text
    assert "none is submitted twice" in verb(grid, "retry", expect=1)
    assert len(list(submissions(grid.results))) == 1

    grid.environment = {}
    release(grid)
    grid.finish()
    grid.assert_done()
    assert grid.starts() == 2
