"""`hydra/launcher=slurm` on a real SLURM: grids, submitting twice, what was frozen, limits."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

from helpers.patience import wait_until
from helpers.places import REPOSITORY
from helpers.slurm_grid import (
    NEEDS_SLURM,
    ON_SLURM,
    Grid,
    clean_environment,
    slurm,
    squeue,
    wrapper,
)

from gradsweep.jobs.records import submissions
from gradsweep.store import PointState

pytestmark = NEEDS_SLURM

TWELVE = ("cot=none,simplified,detailed", "correctness=correct,irrelevant", "n_samples=3")
WHOLE_NODE = "+hydra.launcher.additional_parameters.exclusive=true"
"""So that a grid really spreads over the nodes."""
MakeGrid = Callable[..., Grid]


def test_twelve_points_on_two_models_equal_a_local_run(
    make_grid: MakeGrid, two_models: list[str]
) -> None:
    packed = ("hydra.launcher.points_per_job=3", "hydra.launcher.gpus_per_node=1", WHOLE_NODE)
    grid = make_grid(*two_models, *TWELVE, *ON_SLURM, *packed)
    assert "12 submitted" in grid.run()
    assert "12 in jobs already" in grid.run(), "the same command, at once"
    assert len(grid.elements()) == 4
    grid.finish()
    grid.assert_done()
    assert grid.starts() == 4
    assert grid.log().count("loaded ") == 4, "weights are loaded once in each job"

    written = stored(grid)
    assert "12 done" in grid.run(), "the same command, when all is done"
    assert stored(grid) == written
    assert len(list(submissions(grid.results))) == 1

    local = make_grid(*two_models, *TWELVE)
    local.run()
    grid.assert_same_results(local)


def stored(grid: Grid) -> dict[Path, int]:
    files = (grid.results / "points").rglob("*")
    return {path: path.stat().st_mtime_ns for path in files}


def test_one_failing_point_does_not_stop_the_others(
    make_grid: MakeGrid, one_model: list[str]
) -> None:
    lengths = "model.max_length=2,1023,1024"  # 2 tokens leave no response
    grid = make_grid(
        *one_model, lengths, "n_samples=2", *ON_SLURM, "hydra.launcher.points_per_job=3"
    )
    said = grid.run("hydra.launcher.wait=true", expect=1)
    assert "not done:" in said
    assert "none of the 2 samples could be measured" in said, "the summary names the reason"
    failed, *others = (grid.state(point_id) for point_id in grid.planned())
    assert failed is PointState.FAILED
    assert others == [PointState.DONE] * 2
    assert "1 submitted, 2 done" in grid.run(), "only what is left is tried again"
    grid.finish()


def test_jobs_run_the_config_and_the_code_they_were_submitted_with(
    make_grid: MakeGrid, one_model: list[str], tmp_path: Path
) -> None:
    for folder in ("gradsweep", "conf", "launchers"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    grid = make_grid(*one_model, "cot=none", "n_samples=2", *ON_SLURM)
    grid.environment = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{tmp_path / 'launchers'}"}
    grid.run("+hydra.launcher.additional_parameters.hold=true")

    gradients = tmp_path / "conf" / "gradients" / "attention.yaml"
    gradients.write_text(gradients.read_text().replace("[q, k, v, o]", "[q]"))
    (tmp_path / "gradsweep" / "extraction.py").write_text("raise RuntimeError('edited')\n")
    slurm("scontrol", "release", *{element.split("_")[0] for element in grid.elements()})
    grid.finish()
    grid.assert_done()
    local = make_grid(*one_model, "cot=none", "n_samples=2")
    local.run()
    grid.assert_same_results(local)


def test_more_tasks_than_an_array_may_have_without_accounting_from_inside_a_job(
    make_grid: MakeGrid, one_model: list[str], tmp_path: Path
) -> None:
    small = 'if [ "$1 $2" = "show config" ]; then echo "MaxArraySize = 2"; else exec $REAL "$@"; fi'
    wrapper(tmp_path / "bin", "scontrol", [small])
    path = wrapper(tmp_path / "bin", "sacct", ["echo accounting is disabled >&2", "exit 1"])
    grid = make_grid(*one_model, "seed=0,1,2,3,4", "n_samples=2", *ON_SLURM)
    outer = tmp_path / "submit.sh"
    environment = {"PYTHONPATH": clean_environment()["PYTHONPATH"]} | path
    exports = [f"export {name}={value}" for name, value in environment.items()]
    command = f"{shlex.join(grid.command())} >{tmp_path}/said 2>&1"
    outer.write_text("\n".join(["#!/bin/bash", *exports, command]) + "\n")
    slurm("sbatch", "--wait", "--mem=1G", f"--output={tmp_path}/outer", str(outer))
    assert "5 submitted" in (tmp_path / "said").read_text()
    ((_, submission),) = submissions(grid.results)
    assert [len(array.tasks) for array in submission.arrays] == [2, 2, 1]
    grid.finish()
    grid.assert_done()


def test_a_killed_submitter_leaves_nothing_twice_and_nothing_out(
    make_grid: MakeGrid, one_model: list[str], tmp_path: Path
) -> None:
    small = 'if [ "$1 $2" = "show config" ]; then echo "MaxArraySize = 1"; else exec $REAL "$@"; fi'
    slow = ['$REAL "$@"', "sleep 5"]
    wrapper(tmp_path / "bin", "scontrol", [small])
    grid = make_grid(*one_model, "seed=0,1,2", "n_samples=2", *ON_SLURM)
    grid.environment = wrapper(tmp_path / "bin", "sbatch", slow)
    before = set(squeue())
    held = "+hydra.launcher.additional_parameters.hold=true"
    submitter = grid.start(held)
    wait_until(lambda: bool(set(squeue()) - before), "the first array in the queue", pause=1)
    submitter.kill()
    submitter.wait()
    assert not grid.elements(), "killed before it could note the array's number"

    (tmp_path / "bin" / "sbatch").unlink()
    assert "2 submitted, 1 in jobs already" in grid.run(held)
    assert len(grid.queued()) == 3
    points = [point_id for ids in grid.elements().values() for point_id in ids]
    assert sorted(points) == sorted(grid.planned())
    slurm("scontrol", "release", *{element.split("_")[0] for element in grid.elements()})
    grid.finish()
    grid.assert_done()
    assert grid.starts() == 3
