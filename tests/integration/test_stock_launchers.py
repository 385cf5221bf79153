"""Launchers that know nothing of points: the job is idempotent, so they work too.

`submitit_slurm` needs a cluster: test_slurm.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers.slurm_grid import Grid

MakeGrid = Callable[..., Grid]


@pytest.mark.long
@pytest.mark.parametrize(
    "launcher",
    [
        ["hydra/launcher=basic"],
        ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=10"],
        ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    ],
    ids=lambda overrides: overrides[0].split("=")[1],
)
def test_a_grid_is_done_and_the_same_command_again_computes_nothing(
    make_grid: MakeGrid, one_model: list[str], launcher: list[str]
) -> None:
    if "joblib" in launcher[0]:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    grid = make_grid(*one_model, "cot=none,simplified", "n_samples=2", *launcher)
    grid.run()
    grid.assert_done()
    assert "2 points, 2 done, 0 to run" in grid.run()
