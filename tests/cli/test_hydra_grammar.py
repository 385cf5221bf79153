"""Hydra's own grammar and flags do on this command line what they do elsewhere, or say why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.own_yaml import mine

from gradsweep.cli import main

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("wide_terminal")


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        (["cot=glob(*)"], ["8 points", "left out", "cot=custom: cot.path is needed"]),
        (["cot=glob([none,d*])"], ["5 points"]),
        (["cot=choice(none,detailed)", "seed=range(0,2)"], ["4 points"]),
        (["seed=range(3,0,-1)"], ["3 points"]),
        (["cot=none, detailed"], ["2 points"]),
        (["~tracking", "cot=none,detailed"], ["2 points"]),
    ],
)
def test_every_way_to_write_a_grid(grid: list[str], expected: list[str], capsys: Captured) -> None:
    for args in (["-m", *grid], [*grid, "-m"]):
        assert main(["plan", *args]) == 0
        shown = capsys.readouterr().out
        for text in expected:
            assert text in shown, shown


def test_a_glob_finds_ones_own_options(own: Path, capsys: Captured) -> None:
    assert main(["plan", "-m", *mine(own), "model=glob([mine,folder])"]) == 0
    shown = capsys.readouterr().out
    assert "1 point" in shown
    assert "model=folder: model.source.path is needed" in shown


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["seed=interval(0,1)"], "allowed are a,b,c, choice(a,b,c), range(0,3) and glob(*)"),
        (
            ["seed=range(0,3,0)"],
            "seed=range(0,3,0): with a step of 0 it never comes to its end; allowed is range(",
        ),
        (["seed=range(3,0)"], "seed=range(3,0): it has no values, as start is not below stop; "),
        (["seed=range(5,5)"], "in seed=range(0,3), which is seed=0,1,2, or seed=range(3,0,-1)"),
        (["seed=range(0)"], "it has no values"),
        (["seed=range(0,1,-1)"], "it has no values, as start is not above stop; "),
        (["seed=shuffle(range(3,0))"], "seed=shuffle(range(3,0)): it has no values"),
        (["seed=range(0,inf)"], "start, stop and step are numbers"),
        (["seed=range(0,3,nan)"], "start, stop and step are numbers"),
        (["seed=range(0,1000000000)"], "it has 1000000000 values, and at most 100000 are"),
        (
            ["cot=glob(x*)"],
            "none of custom, detailed, detailed_corrupted, detailed_drop, detailed_shuffled, none,",
        ),
        (["dataset.path=glob(*)"], "glob chooses among the options of model, dataset"),
        (["model=glob(folder)"], "none of these can run: model=folder: model.source.path"),
        (["+experiment=first_look,paper_math", "sweep=both"], "a command runs one experiment"),
        (["cot=null"], "cot=null: allowed are none"),
        (["cot=none,null"], "cannot compose"),
        (["hydra/launcher=null"], "cannot compose"),
        (["+colour=red"], "colour: there is no such field"),
    ],
)
def test_what_is_no_grid_is_one_error(args: list[str], expected: str, capsys: Captured) -> None:
    assert main(["plan", "-m", *args]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error:")
    assert expected in message


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["seed=range(0,2)"], "seed=range(0,2): several values make a grid: add -m"),
        (["cot=choice(none,detailed)"], "several values make a grid: add -m"),
        (["-m", "hydra/launcher=slurm", "hydra.launcher.shards=-1"], "shards must be at least 1"),
        (["hydra.launcher=3"], "type hydra/launcher=slurm or local"),
    ],
)
def test_one_error_in_words_of_this_command_line(
    args: list[str], expected: str, capsys: Captured
) -> None:
    assert main(["plan", *args]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error:")
    assert message.count(expected) == 1
    assert "Error in call to target" not in message


def test_resolving_shows_folders_or_says_how(capsys: Captured) -> None:
    assert main(["--cfg", "all", "--resolve", "store.root=~/r"]) == 0
    assert f"dir: {Path('~/r').expanduser()}/hydra/" in capsys.readouterr().out
    assert main(["--cfg", "hydra", "--resolve"]) == 2
    assert "--cfg all --resolve" in capsys.readouterr().err


@pytest.mark.long
def test_paths_are_meant_from_where_the_command_was_typed(own: Path, capsys: Captured) -> None:
    """`hydra.job.chdir` would put results into a folder of the job, where nobody looks."""
    args = [*mine(own), "store.root=here", "hydra.job.chdir=true"]
    assert main(args) == 0, capsys.readouterr().err
    assert main(["-m", *args, "n_samples=1"]) == 0
    assert len(list(Path("here/points").iterdir())) == 2
    assert not list(Path("here/hydra").rglob("points"))
