"""A training point is examined by step: losses that are no numbers, spikes, no learning."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from helpers.stored_training import store_run

from gradsweep.cli import main
from gradsweep.doctor.check import CheckState
from gradsweep.doctor.training import RISES, check_training
from gradsweep.records import Axes

NONE = Axes("tiny", "sums", "none", "correct")
FALLING = [4 * 0.95**step for step in range(24)]


def states(results: Path, losses: list[float], update: list[float]) -> dict[str, CheckState]:
    paths = store_run(results, "run", NONE, update=update, losses=losses)
    return {check.name: check.state for check in check_training(paths)}


def test_a_run_that_learns_has_nothing_to_do(tmp_path: Path):
    assert set(states(tmp_path, FALLING, [4.0, 3.0]).values()) == {CheckState.OK}


def test_a_run_that_diverges_is_a_problem_with_step_and_last_good_loss(tmp_path: Path):
    paths = store_run(tmp_path, "run", NONE, losses=[3.0, 2.0, 5.0, math.nan, math.nan])
    (loss,) = (check for check in check_training(paths) if check.name == "loss")
    assert loss.state is CheckState.PROBLEM
    assert loss.finding == "no number from step 3 on; the last one that is: 5"


def test_spikes_and_a_loss_that_does_not_fall_are_warnings(tmp_path: Path):
    spiked = [*FALLING[:15], 9.0, *FALLING[15:]]
    assert states(tmp_path / "spike", spiked, [1.0])["loss"] is CheckState.WARNING
    rising = FALLING[::-1]
    assert states(tmp_path / "rising", rising, [1.0])[RISES] is CheckState.WARNING


def test_the_verb_examines_a_folder_of_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    store_run(tmp_path, "run", NONE, update=[2.0, 1.0], losses=FALLING)
    assert main(["doctor", str(tmp_path)]) == 0
    assert "24 optimizer steps" in capsys.readouterr().out


def test_a_run_that_has_stored_nothing_says_so(tmp_path: Path):
    paths = store_run(tmp_path, "run", NONE)
    assert check_training(paths) == []
