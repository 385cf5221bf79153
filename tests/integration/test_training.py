"""A training point on a real SLURM, put back into the queue in the middle: the same weights."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable

import pytest
from helpers.patience import wait_until
from helpers.slurm_grid import NEEDS_SLURM, ON_SLURM, Grid, slurm
from helpers.time_limits import minutes_until_a_warning, set_limit, warned
from polars.testing import assert_frame_equal

from gradsweep import load_training
from gradsweep.jobs.records import submissions, task_runs
from gradsweep.store import PointPaths

pytestmark = NEEDS_SLURM

STEPS = 1500
HALF_WAY = 100
TRAINING = (
    "training=full",
    f"training.steps={STEPS}",
    "training.batch_size=2",
    "training.checkpoint_every=50",
    "training.update_every=100",
    "training.probe_every=500",
    "training.probe_questions=2",
    "n_samples=12",
    "model.max_length=400",
)
MakeGrid = Callable[..., Grid]


@pytest.fixture(scope="module")
def reference(make_grid: MakeGrid, one_model: list[str]) -> Grid:
    """The run, undisturbed, with as many cores: sums of other threads are other sums."""
    grid = make_grid(*one_model, *TRAINING, *ON_SLURM)
    grid.run()
    grid.finish()
    return grid


def half_way(grid: Grid) -> tuple[str, int]:
    """The job's element and process, once a checkpoint is whole."""
    (point_id,) = grid.planned()
    checkpoints = PointPaths(grid.results, point_id).checkpoints

    def reached() -> bool:
        return any(
            int(path.parent.name.split("-")[1]) >= HALF_WAY
            for path in checkpoints.glob("checkpoint-*/COMPLETE")
        )

    wait_until(reached, "a checkpoint", pause=1)
    (element,) = grid.elements()
    (found,) = submissions(grid.results)
    return element, task_runs(found[0], 0, 0)[-1].process_id


def assert_same_run(grid: Grid, reference: Grid) -> None:
    (point_id,) = grid.planned()
    weights = [
        json.loads(PointPaths(g.results, point_id).summary.read_text())["weights"]
        for g in (grid, reference)
    ]
    assert weights[0] == weights[1]
    a, b = (load_training(g.results) for g in (grid, reference))
    for name in ("rows", "samples", "steps"):
        first, second = (getattr(t, name).drop("seconds", strict=False) for t in (a, b))
        assert_frame_equal(first, second)


def test_a_requeued_job_goes_on_to_the_same_weights(
    make_grid: MakeGrid, one_model: list[str], reference: Grid
) -> None:
    grid = make_grid(*one_model, *TRAINING, *ON_SLURM)
    grid.run()
    element, _ = half_way(grid)
    slurm("scontrol", "requeue", element)
    grid.finish()
    grid.assert_done()
    assert grid.starts() == 2
    assert_same_run(grid, reference)


def test_a_time_limit_makes_a_checkpoint_and_the_job_goes_on_there(
    make_grid: MakeGrid, one_model: list[str], reference: Grid
) -> None:
    """Held in the middle until SLURM has sent its warning, as in `test_launcher_faults`."""
    if os.geteuid() != 0:
        pytest.skip("needs root: only SLURM's administrator lifts the limit of a running job")
    grid = make_grid(*one_model, *TRAINING, *ON_SLURM)
    grid.run()
    element, process = half_way(grid)
    os.kill(process, signal.SIGSTOP)
    set_limit(element, minutes_until_a_warning(element))
    wait_until(lambda: warned(process), "SLURM's warning", pause=1)
    set_limit(element, 30)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGCONT)
    grid.finish()
    grid.assert_done()
    assert grid.starts() == 2, "it was put back into the queue once"
    assert_same_run(grid, reference)
