"""`plan` as a person meets it: every state and reason, large grids, jobs, what does not fit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import REPOSITORY

from gradsweep.cli import main
from gradsweep.plan.forecast.show import MOST_POINTS

Captured = pytest.CaptureFixture[str]
PAPER = ["-m", "+experiment=paper_full", "tracking=none"]

pytestmark = pytest.mark.usefixtures("wide_terminal")


def plan(capsys: Captured, *args: str) -> str:
    assert main(["plan", *args]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.fixture
def no_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 100 columns on a machine without SLURM, whatever this one has."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("COLUMNS", "100")


def in_a_process(*args: str) -> str:
    """What `plan` prints where the launchers are found; fails when it imports torch."""
    code = (
        "import sys; from gradsweep.cli import main; status = main(sys.argv[1:]);"
        "heavy = {'torch', 'transformers', 'submitit', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    path = os.pathsep.join([str(REPOSITORY / "launchers"), os.environ.get("PYTHONPATH", "")])
    # No SLURM, whatever this machine has.
    environment = {"PYTHONPATH": path.rstrip(os.pathsep), "COLUMNS": "100", "PATH": ""}
    answer = subprocess.run(
        [sys.executable, "-c", code, "plan", *args],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.long
def test_the_papers_grid_is_planned_without_torch_and_stays_readable() -> None:
    shown = in_a_process(*PAPER, "hydra/launcher=slurm_a100")
    assert "560 points, 0 done, 560 to run" in shown
    assert len(shown.splitlines()) < 100
    conditions = re.findall(r"^(\w+) +(none|simplified|detailed) +20 +20 ", shown, re.M)
    assert len(conditions) == 28, "a line for each dataset and level"
    assert shown.count("left out") == 1
    assert "dataset=math_algebra has no cot=none: its levels are simplified, detailed" in shown
    assert "--all" in shown
    models = re.findall(r"^(\w+_[\d.]+b\w*) +56 .*/80 GB ✓", shown, re.M)
    assert len(models) == 10, "a line for each model"
    for text in (
        "--gpus-per-node=1",
        "--constraint=a100",
        "70 jobs of 8 points",
        "GPU-hours",
        "disk",
    ):
        assert text in shown


@pytest.mark.parametrize("columns", [80, 100, 200])
@pytest.mark.usefixtures("no_slurm")
def test_tables_keep_to_the_terminal(
    columns: int, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = plan(
        capsys,
        *("-m", "model=qwen2_1.5b,gemma2_9b_instruct", "cot=none,detailed", "tracking=none"),
        *("dataset=gsm8k", "correctness=correct,irrelevant", "hydra/launcher=slurm_h100"),
    )
    tables = [x for x in shown.splitlines() if "GB ✓" in x or re.match("[0-9a-f]{16} ", x)]
    assert len(tables) == 10, "eight points, two models"
    assert max(map(len, tables)) <= columns
    assert "…" not in "".join(tables)


@pytest.mark.long
def test_all_shows_every_point(capsys: Captured) -> None:
    seeds = ",".join(map(str, range(MOST_POINTS + 1)))
    grid = ["-m", "model=qwen2_1.5b", "tracking=none", f"seed={seeds}", "cot=none"]
    assert "seed=7" not in plan(capsys, *grid)
    shown = plan(capsys, *grid, "--all")
    assert len(re.findall(r"^[0-9a-f]{16} .* seed=\d+ ", shown, re.M)) == MOST_POINTS + 1


def test_without_a_launcher_it_says_that_points_run_here(capsys: Captured) -> None:
    shown = plan(capsys, "cot=detailed", "tracking=none")
    assert "one point after the other in this process" in shown
    assert "1 point, 0 done, 1 to run" in shown
    assert "FLOP model: 4 FLOP per parameter and token" in shown


@pytest.mark.long
def test_a_measured_point_is_what_the_next_plan_rests_on(
    saved_model: Path, capsys: Captured
) -> None:
    mine = ["model=folder", f"model.source.path={saved_model}", "model.name=tiny", "tracking=none"]
    before = plan(capsys, "-m", *mine, "cot=none,detailed", "n_samples=2,3")
    assert "FLOP model: 4 FLOP per parameter and token" in before, "by the headers of its files"
    assert main([*mine, "n_samples=2", "cot=none"]) == 0
    capsys.readouterr()
    after = plan(capsys, "-m", *mine, "cot=none,detailed", "n_samples=2,3")
    assert re.search(r"tiny +3 +1 .* 1 measured, 2 by tokens", after)
    assert "counted in earlier points" in after
    assert "4 points, 1 done, 3 to run" in after


@pytest.mark.usefixtures("no_slurm")
def test_a_model_that_does_not_fit_is_marked_with_what_would(capsys: Captured) -> None:
    shown = plan(
        capsys,
        *("-m", "model=qwen2_1.5b,llama3.1_70b", "model.device_map=null", "tracking=none"),
        "hydra/launcher=slurm_a100",
    )
    assert re.search(r"llama3\.1_70b .*/80 GB ✗", shown)
    assert "too large: model=llama3.1_70b in float32 needs" in shown
    assert "model.device_map=auto model.dtype=bfloat16" in shown
    assert "too large: model=qwen2_1.5b" not in shown


@pytest.mark.usefixtures("no_slurm")
def test_a_model_that_fits_but_for_the_longest_samples_is_tight(capsys: Captured) -> None:
    shown = plan(
        capsys,
        *("-m", "model=llama3_8b", "tracking=none", "hydra/launcher=slurm_a100"),
        "hydra.launcher.gpu_memory_gb=48",
    )
    assert re.search(r"llama3_8b .*/48 GB ~", shown)
    assert "tight: llama3_8b" in shown
    assert "too large" not in shown


@pytest.mark.usefixtures("no_slurm")
def test_weights_that_a_jobs_host_cannot_hold_are_noticed(capsys: Captured) -> None:
    shown = plan(capsys, "-m", "model=llama3_8b", "tracking=none", "hydra/launcher=slurm")
    assert "host memory: llama3_8b's 32.1 GB of weights" in shown
    assert "its default MaxArraySize" in shown
    assert "A100, as hydra.launcher.gpu names no other" in shown


def test_gated_models_are_listed_once(capsys: Captured) -> None:
    shown = plan(capsys, "-m", "model=llama3_8b,gemma2_2b", "cot=none,detailed", "tracking=none")
    (line,) = [line for line in shown.splitlines() if "HF_TOKEN" in line]
    assert "meta-llama/Llama-3.1-8B, google/gemma-2-2b" in line


def test_help_teaches(capsys: Captured) -> None:
    shown = plan(capsys, "--help")
    assert shown.count("python -m gradsweep plan ") >= 4
    for word in ("stopped", "queued", "FLOP", "--all", "gpu_memory_gb"):
        assert word in shown
    assert max(map(len, shown.splitlines())) <= 100
