"""Everything that can end a job in the middle, on a real SLURM: afterwards every row is there once.

Each test's jobs are long enough to be interrupted half-way; a sample is a part of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from slurm_grid import (  # type: ignore[import-not-found]
    ON_SLURM,
    Grid,
    slurm,
    squeue,
    wait_until,
)

from gradsweep.launch.records import submissions, task_runs
from gradsweep.store import PointState

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(shutil.which("sinfo") is None, reason="there is no SLURM here (no sinfo)"),
]

N_LONG = 800
LONG = (f"n_samples={N_LONG}", "gradients.batch_tokens=1", "gradients.workers=1")
HALF_WAY = 20
"""Stored samples after which a point is interrupted."""
MakeGrid = Callable[..., Grid]


@pytest.fixture(scope="module")
def reference(make_grid: MakeGrid, one_model: list[str]) -> Grid:
    """The longest grid of this module, undisturbed."""
    grid = make_grid(*one_model, *LONG, "seed=0,1,2")
    grid.run()
    return grid


def half_way(grid: Grid, *point_ids: str) -> None:
    wait_until(
        lambda: all(grid.stored(i) >= HALF_WAY for i in point_ids),
        f"{HALF_WAY} stored samples",
    )
    assert all(grid.state(i) is PointState.RUNNING for i in point_ids), "over already: raise N_LONG"


def element_of(grid: Grid, point_id: str) -> str:
    (element,) = (e for e, points in grid.elements().items() if point_id in points)
    return str(element)


def process_of(grid: Grid, point_id: str) -> int:
    for paths, submission in submissions(grid.results):
        for array in submission.arrays:
            for number, task in enumerate(array.tasks):
                if point_id in task.point_ids:
                    return task_runs(paths, array.number, number)[-1].process_id
    raise AssertionError(f"{point_id} has no job")


def test_a_killed_a_cancelled_and_a_requeued_job(
    make_grid: MakeGrid, one_model: list[str], reference: Grid
) -> None:
    grid = make_grid(*one_model, *LONG, "seed=0,1,2", *ON_SLURM)
    grid.run()
    killed, cancelled, requeued = grid.planned()
    half_way(grid, killed, cancelled, requeued)
    os.kill(process_of(grid, killed), signal.SIGKILL)
    slurm("scancel", element_of(grid, cancelled))
    slurm("scontrol", "requeue", element_of(grid, requeued))
    grid.finish()
    assert grid.state(requeued) is PointState.DONE, "it goes on by itself"
    assert {grid.state(killed), grid.state(cancelled)} == {PointState.STOPPED}
    assert "2 submitted, 1 done" in grid.run()
    grid.finish()
    grid.assert_done()
    grid.assert_same_results(reference)


def test_a_preempted_job_goes_on_by_itself(
    make_grid: MakeGrid, one_model: list[str], reference: Grid
) -> None:
    low = ("hydra.launcher.partition=low", "+hydra.launcher.additional_parameters.exclusive=true")
    grid = make_grid(*one_model, *LONG, "seed=0,1,2", *ON_SLURM, *low)
    grid.run()
    half_way(grid, *grid.planned())
    nodes = slurm("sinfo", "-h", "-p", "high", "-o", "%D").strip()
    slurm("sbatch", "--wait", "-p", "high", "-N", nodes, "--exclusive", "--wrap=sleep 5")
    grid.finish()
    grid.assert_done()
    assert grid.starts() > 3
    grid.assert_same_results(reference)


def test_a_time_limit_in_the_middle_of_a_point(
    make_grid: MakeGrid, one_model: list[str], reference: Grid
) -> None:
    grid = make_grid(*one_model, *LONG, "seed=0,1,2", *ON_SLURM)
    grid.run()
    points = grid.planned()
    half_way(grid, *points)
    for point_id in points:  # SLURM looks at limits every 30 s; a limit of its own would race
        slurm("scontrol", "update", f"JobId={element_of(grid, point_id)}", "TimeLimit=1")
    grid.finish()
    grid.assert_done()
    assert grid.starts() > 3
    grid.assert_same_results(reference)


def test_a_node_that_is_lost(make_grid: MakeGrid, one_model: list[str], reference: Grid) -> None:
    """slurmd dies and the job's process lives on: the requeued job must leave the point to it."""
    pid_file = Path(os.environ.get("DEV_CLUSTER_DIR", "/tmp/gradsweep_dev_cluster")) / "run"
    if not pid_file.exists() or os.geteuid() != 0:
        pytest.skip("needs the dev cluster and root, to end a slurmd")
    grid = make_grid(*one_model, *LONG, "seed=0,1,2", *ON_SLURM)
    grid.run()
    lost, *_ = grid.planned()
    half_way(grid, lost)
    element = element_of(grid, lost)
    node = slurm("squeue", "-h", "-j", element, "-o", "%N").strip()
    os.kill(int((pid_file / f"slurmd-{node}.pid").read_text()), signal.SIGTERM)
    slurm("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    try:
        grid.finish()
        wait_until(lambda: grid.state(lost) is not PointState.RUNNING, "the end of the process")
    finally:
        slurm("/usr/sbin/slurmd", "-N", node)
        slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")
    if grid.state(lost) is not PointState.DONE:
        grid.run()
        grid.finish()
    grid.assert_done()
    grid.assert_same_results(reference)
    assert not set(squeue()) & set(grid.elements())
