"""One model over two nodes of a real SLURM."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from helpers.patience import PATIENCE_SECONDS
from helpers.slurm_grid import NEEDS_SLURM, ON_SLURM, Grid, clean_environment

from gradsweep.jobs.records import submissions, task_runs

pytestmark = NEEDS_SLURM


def test_two_nodes_that_share_a_model_equal_one_process(
    make_grid: Callable[..., Grid], one_model: list[str]
) -> None:
    asked = (*one_model, "cot=none,simplified", "n_samples=3", "gradients.batch_tokens=128")
    spread = ("model.placement=fsdp", "hydra.launcher.nodes=2", "hydra.launcher.points_per_job=2")
    grid = make_grid(*asked, *ON_SLURM, *spread)
    assert "2 submitted" in grid.run()
    grid.finish()
    grid.assert_done()
    assert grid.starts() == 2, "a job of two processes"
    ((paths, _),) = submissions(grid.results)
    assert len({run.node for run in task_runs(paths, 0, 0)}) == 2
    local = make_grid(*asked)
    local.run()
    grid.assert_same_results(local)


def test_a_step_that_is_typed_by_hand_shares_a_model_too(
    make_grid: Callable[..., Grid], one_model: list[str]
) -> None:
    asked = (*one_model, "cot=none", "n_samples=3", "gradients.batch_tokens=128")
    spread, local = make_grid(*asked, "model.placement=fsdp"), make_grid(*asked)
    by_hand = ["srun", "--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1", "--mem=1G"]
    python, _, package, _, *overrides = spread.command()  # without -m, as one point is
    done = subprocess.run(
        [*by_hand, python, "-m", package, *overrides],
        capture_output=True, text=True, env=clean_environment(), cwd=spread.results.parent,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    local.run()
    spread.assert_same_results(local)
