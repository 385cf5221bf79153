"""One model over two nodes of a real SLURM."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from helpers.slurm_grid import ON_SLURM, Grid

from gradsweep.jobs.records import submissions, task_runs

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(shutil.which("sinfo") is None, reason="there is no SLURM here (no sinfo)"),
]


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
