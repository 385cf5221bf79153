"""Each point of a grid is started once; what cannot run is named, and tells by its status."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.own_yaml import manifest, mine

from gradsweep.cli import main

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("wide_terminal")


def test_each_point_of_a_grid_is_started_once(own: Path, capsys: Captured) -> None:
    twice = ["gradients.batch_tokens=64,128", "model.parameters=1000,2000"]
    assert main(["-m", *mine(own, "bad"), *twice]) == 1
    shown = capsys.readouterr().err
    assert "left out: 3 cells that are the same point as another" in shown
    assert shown.count("error:") == 1, "the failing point was tried once"
    (point,) = manifest()["points"]  # type: ignore[misc]
    assert "gradients.batch_tokens=64" in point["overrides"]


@pytest.mark.long
def test_a_sweeps_name_may_hold_any_character_of_a_file_name(own: Path, capsys: Captured) -> None:
    assert main(["-m", *mine(own), "sweep='it\\'s a, b'"]) == 0
    assert manifest()["name"] == "it's a, b"
    assert "[1/1]" in capsys.readouterr().err


@pytest.mark.long
def test_a_name_that_is_used_again_for_other_points_is_noticed(own: Path, capsys: Captured) -> None:
    assert main(["-m", *mine(own), "sweep=mine", "n_samples=1"]) == 0
    assert "other points" not in capsys.readouterr().err
    assert main(["-m", *mine(own), "sweep=mine", "n_samples=2"]) == 0
    assert "sweep mine had 1 other point;" in capsys.readouterr().err


def test_a_bare_multirun_plans_the_default_point(capsys: Captured) -> None:
    assert main(["plan", "-m"]) == 0
    assert "1 point" in capsys.readouterr().out


@pytest.mark.usefixtures("without_figures")
def test_the_last_of_two_names_counts(own: Path) -> None:
    assert main(["-m", *mine(own), "sweep=first", "sweep=last"]) == 0
    assert manifest()["name"] == "last"


# --- exit statuses


def test_interrupted_is_130(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gradsweep.cli.point.run_point", interrupted)
    assert main(["-m", *mine(own)]) == 130
    assert main(mine(own)) == 130


@pytest.mark.parametrize("verb", [[], ["plan"], ["verify"]])
def test_no_sample_at_all_is_one_error_with_the_reason(
    verb: list[str], own: Path, capsys: Captured
) -> None:
    assert main([*verb, *mine(own, "apart"), "cot.match_length=detailed"]) == 1
    message = capsys.readouterr().err
    assert message.count("error:") == 1
    assert "cot.match_length=detailed: none of the 1 questions" in message


@pytest.mark.long
def test_in_a_grid_the_other_points_run(own: Path, capsys: Captured) -> None:
    grid = ["-m", *mine(own, "apart"), "cot.match_length=null,detailed"]
    assert main(["plan", *grid]) == 0
    assert "1 point" in capsys.readouterr().out
    assert main(grid) == 0
    assert "left out: cot.match_length=detailed" in capsys.readouterr().err


# --- one reason of many points


@pytest.mark.long
def test_one_reason_of_many_points_is_said_once_with_their_number(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    model = ["model=hub", "model.source.hub_id=owner/typo", "tracking=none", "n_samples=1"]
    assert main(["-m", *model, "seed=0,1", "cot=none,detailed"]) == 1
    told = capsys.readouterr().err
    assert told.count("cannot be reached") == 2, "when it happens, and at the end"
    *_, last = told.strip().splitlines()
    assert last.startswith("not done: 4 points (none · seed=0, ")
    assert "1 more" in last
    assert last.endswith("the default model needs no hub (model=smollm2_135m_instruct)")
    assert not list(Path("results").glob("points/*")), "typos leave no point behind"
    assert not Path("results/wandb").exists()
    assert main(model) == 1
    assert capsys.readouterr().err.count("cannot be reached") == 1, "the next command says it again"
