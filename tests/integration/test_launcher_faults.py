"""Everything that can end a job in the middle, on a real SLURM: afterwards every row is there once.

Each test's jobs are long enough to be interrupted half-way; a sample is a part of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.patience import wait_until
from helpers.slurm_grid import NEEDS_SLURM, ON_SLURM, Grid, slurm, squeue
from helpers.time_limits import minutes_until_a_warning, set_limit, warned

from gradsweep.jobs.records import submissions, task_runs
from gradsweep.store import PointPaths, PointState
from gradsweep.store.lease import holder

pytestmark = NEEDS_SLURM

N_LONG = 500
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
        pause=1,
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
    quiet = ("-o", "/dev/null", "--wrap=sleep 5")
    slurm("sbatch", "--wait", "-p", "high", "-N", nodes, "--exclusive", *quiet)
    grid.finish()
    grid.assert_done()
    assert grid.starts() > 3
    grid.assert_same_results(reference)


def test_a_time_limit_in_the_middle_of_a_point(
    make_grid: MakeGrid, one_model: list[str], reference: Grid
) -> None:
    """Held in the middle until SLURM has sent its warning: however fast the machine is.

    A requeued job keeps its limit, and SLURM warns each of its starts: under the short limit a busy
    machine's second start would be warned while it still loads. So the limit is lifted before the
    job goes on.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root: only SLURM's administrator lifts the limit of a running job")
    grid = make_grid(*one_model, *LONG, "seed=0,1,2", *ON_SLURM)
    grid.run()
    points = grid.planned()
    half_way(grid, *points)
    held = {element_of(grid, point_id): process_of(grid, point_id) for point_id in points}
    for process in held.values():
        os.kill(process, signal.SIGSTOP)
    for element in held:
        set_limit(element, minutes_until_a_warning(element))

    def let_the_warned_go_on() -> bool:
        for element, process in list(held.items()):
            if warned(process):
                set_limit(element, 30)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)
                del held[element]
        return not held

    wait_until(let_the_warned_go_on, "SLURM's warnings", pause=1)
    grid.finish()
    grid.assert_done()
    assert grid.starts() == 6, "each was put back into the queue once"
    grid.assert_same_results(reference)


def test_a_killed_process_of_a_job_that_shares_out_a_point(
    make_grid: MakeGrid, one_model: list[str], reference: Grid
) -> None:
    """Two tasks of two processes each, every process with a GPU of its own."""
    shared = ("hydra.launcher.shards=2", "hydra.launcher.tasks_per_node=2")
    gpus = ("hydra.launcher.gpus_per_node=2", "hydra.launcher.mem_gb=2")
    grid = make_grid(*one_model, *LONG, "seed=0,1,2", *ON_SLURM, *shared, *gpus)
    grid.run()
    first, *_ = grid.planned()
    wait_until(
        lambda: len(running_shares(grid, first)) == 4, "four processes at one point", pause=1
    )
    half_way(grid, first)
    os.kill(running_shares(grid, first)[2], signal.SIGKILL)
    grid.finish()
    assert "1 submitted, 2 done" in grid.run(), "only the point that lacks a share"
    grid.finish()
    grid.assert_done()
    grid.assert_same_results(reference)


def running_shares(grid: Grid, point_id: str) -> list[int]:
    """Processes that measure a share of the point just now."""
    leases = PointPaths(grid.results, point_id).leases()
    return [record["pid"] for lease in leases if (record := holder(lease))]


def back_in_service(node: str) -> bool:
    """Refused while slurmd has not reported yet, and when there is nothing to resume."""
    resume = ["scontrol", "update", f"NodeName={node}", "State=RESUME"]
    subprocess.run(resume, capture_output=True)
    state = slurm("sinfo", "-h", "-N", "-p", "main", "-n", node, "-o", "%T").strip()
    return state in ("idle", "mixed", "allocated")


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
        wait_until(
            lambda: grid.state(lost) is not PointState.RUNNING, "the end of the process", pause=1
        )
    finally:
        slurm("/usr/sbin/slurmd", "-N", node)
        wait_until(lambda: back_in_service(node), f"{node} to come back", pause=1)
    if grid.state(lost) is not PointState.DONE:
        grid.run()
        grid.finish()
    grid.assert_done()
    grid.assert_same_results(reference)
    assert not set(squeue()) & set(grid.elements())
