"""Flags of Hydra's change where configs come from, and nothing else about a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.own_yaml import mine

from gradsweep import __version__
from gradsweep.cli import main
from gradsweep.cli.command_line import read_command_line
from gradsweep.config.composition import compose
from gradsweep.identity import point_id
from gradsweep.jobs.status.points import known_points

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("wide_terminal")


# --- reading


@pytest.mark.parametrize(
    "args",
    [
        ["-m", "cot=none,detailed", "--config-dir", "."],
        ["cot=none,detailed", "-m", "--config-dir=."],
        ["-cd", ".", "cot=none,detailed", "--multirun"],
        ["cot=none,detailed", "--config-d=.", "--multi"],
        ["--config-dir=.", "cot=none,detailed", "hydra.mode=MULTIRUN"],
    ],
)
def test_flags_may_stand_anywhere_and_be_abbreviated(args: list[str], tmp_path: Path) -> None:
    line = read_command_line(args)
    assert line.multirun
    assert line.prints is None
    assert line.source.config_dir == str(tmp_path)
    assert [text for text in line.overrides if not text.startswith("hydra.")] == [
        "cot=none,detailed"
    ]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--cfg", "job", "--info"], ["--cfg and --info exclude"]),
        (["-m", "--cfg", "job"], ["--multirun and --cfg exclude"]),
        (["--run", "-m"], ["--run and --multirun exclude"]),
        (["--resolve"], ["--resolve", "--cfg"]),
        (["--package", "model"], ["--package", "--cfg"]),
        (["--experimental-rerun", "job.pickle"], ["--experimental-rerun", "command again"]),
        (["--config", "x"], ["ambiguous", "--config-dir"]),
        (["--cfg", "everything"], ["everything", "job", "all"]),
        (["cot=none", "plan"], ["'plan'", "first word"]),
        (["cot=none", "--hel"], ["--help"]),
        (["raport"], ["did you mean report?"]),
        (["plan", "-m", "model=qwen2_1.5b", "…"], ["'…'", "leave it out"]),
        (["status", "…"], ["'…'", "leave it out"]),
        (["model=folder", "model.source.path=…"], ["model.source.path=<value>"]),
        (["cot=none", "--frobnicate"], ["--frobnicate"]),
        (["frobnicate"], ["frobnicate", "plan, status"]),
        (["plan", "--cfg", "job"], ["plan", "leave out the word plan"]),
        (["plan", "--fast"], ["--fast"]),
        (["verify", "-m", "cot=none"], ["verify", "-m"]),
    ],
)
def test_what_cannot_be_read_is_one_error_and_status_2(
    args: list[str], expected: list[str], capsys: Captured
) -> None:
    assert main(args) == 2
    message = capsys.readouterr().err
    assert message.count("error:") == 1
    assert "Traceback" not in message
    for text in expected:
        assert text in message, message


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--config-dir=nowhere"], ["--config-dir=nowhere", "not a folder"]),
        (["--config-path=nowhere"], ["--config-path=nowhere", "not a folder"]),
        (["--config-name=nowhere"], ["nowhere"]),
        (["-m", "store.root=a,b"], ["store.root=a,b", "store.root=a"]),
        (["-m", "sweep=a,b"], ["sweep=a,b"]),
        (["-m", "tracking=none,wandb"], ["tracking.kind=none,wandb"]),
        (["-m", "tracking.project=a,b"], ["tracking.project=a,b"]),
        (["-m", "hydra.job.chdir=true,false"], ["hydra.job.chdir=true,false", "one value"]),
        (["-m", "hydra/launcher=basic,submitit_local"], ["hydra/launcher=basic,submitit_local"]),
        (["-m", "hydra.sweeper._target_=mine.Sweeper"], ["hydra/sweeper", "mine.Sweeper", "basic"]),
        (["-m", "sweep=a/b"], ["sweep='a/b'"]),
    ],
)
def test_what_cannot_run_is_one_error_and_nothing_is_written(
    args: list[str], expected: list[str], capsys: Captured, tmp_path: Path
) -> None:
    for verb in ([], ["plan"]):
        assert main([*verb, *args]) == 1
        message = capsys.readouterr().err
        assert message.count("error:") == 1
        assert "Traceback" not in message
        for text in expected:
            assert text in message, message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("args", [["--version"], ["cot=none,detailed", "-m", "--version"]])
def test_the_version_is_gradsweeps(args: list[str], capsys: Captured) -> None:
    assert main(args) == 0
    assert capsys.readouterr().out == f"gradsweep {__version__}\n"


def test_a_grid_flag_may_stand_before_a_verb(capsys: Captured) -> None:
    assert main(["-m", "plan", "cot=none,detailed"]) == 0
    assert "2 points" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [["--cfg", "job"], ["--hydra-help"]])
def test_a_grid_after_a_flag_that_prints_is_one_error(flags: list[str], capsys: Captured) -> None:
    assert main([*flags, "cot=none,detailed"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: cot=none,detailed: ")
    assert "gradsweep plan -m" in message


def test_a_main_config_that_is_not_ours_is_refused(own: Path, capsys: Captured) -> None:
    assert main(["plan", f"--config-dir={own}", "--config-name=foreign"]) == 1
    assert "--config-name" in capsys.readouterr().err


# --- printing


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--cfg", "job", "model=mine"], "name: mine"),
        (["--cfg", "job", "--package", "cot"], "kind: level"),
        (["--info", "searchpath"], "own yaml"),
        (["--hydra-help"], "--config-dir"),
        (["cot=none", "--help"], "--config-dir DIR"),
    ],
)
def test_flags_that_print_run_nothing(
    flags: list[str], expected: str, own: Path, capsys: Captured
) -> None:
    assert main([f"--config-dir={own}", *flags]) == 0
    assert expected in capsys.readouterr().out
    assert not Path("results").exists()


def test_what_cannot_be_printed_is_one_error(capsys: Captured) -> None:
    assert main(["--info", "defaults", "model=gpt17"]) == 1
    message = capsys.readouterr().err
    assert "gpt17" in message
    assert "Traceback" not in message


# --- running


@pytest.mark.long
def test_a_grid_of_ones_own_options_is_planned_and_concluded(own: Path, capsys: Captured) -> None:
    grid = ["-m", *mine(own), "n_samples=1,2", "cot=none,detailed"]
    assert main(["plan", *grid]) == 0
    shown = capsys.readouterr().out
    assert "2 points, 0 done, 2 to run" in shown
    assert "has no response at cot=detailed" in shown
    assert main(grid) == 0
    shown = capsys.readouterr()
    assert "left out" in shown.err
    assert "1 of 1 samples are those of the same point" in shown.err, "the file has one"
    assert "mine" in shown.out
    assert main(grid) == 0
    assert capsys.readouterr().err.count("done already") == 2


def test_a_multirun_whose_points_fail_says_so(own: Path, capsys: Captured) -> None:
    assert main(["-m", *mine(own, "bad")]) == 1
    shown = capsys.readouterr().err
    assert "not done:" in shown
    assert "could be measured" in shown or "could not be started" in shown


def test_a_mode_that_a_users_config_sets_is_a_grid(own: Path, capsys: Captured) -> None:
    assert main(["plan", *mine(own), "+experiment=two"]) == 0
    assert "2 points" in capsys.readouterr().out


@pytest.mark.long
def test_a_main_config_of_ones_own(own: Path, capsys: Captured) -> None:
    options = [option for option in mine(own) if option != "model=mine"]
    assert main([*options, "--config-name=start"]) == 0
    assert "mine" in capsys.readouterr().out
    assert main(["plan", *options, "-cn", "start"]) == 0
    assert "1 point, 1 done" in capsys.readouterr().out


def test_points_are_the_same_whichever_way_they_are_composed(own: Path) -> None:
    line = read_command_line(mine(own))
    (own / "model" / "mine.yaml").rename(own / "model" / "other.yaml")
    with pytest.raises(Exception, match="mine"):
        compose(*line.overrides, source=line.source)
    (own / "model" / "other.yaml").rename(own / "model" / "mine.yaml")
    path = f'hydra.searchpath=["file://{own}"]'
    assert point_id(compose(*line.overrides, source=line.source)) == point_id(
        compose(*line.overrides, path)
    )


@pytest.mark.long
def test_a_planned_point_is_composed_again_from_the_same_folder(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own)
    options = [o for o in mine(own) if not o.startswith("--config-dir")]
    assert main(["-m", *options, "--config-dir", ".", f"store.root={tmp_path / 'results'}"]) == 0
    monkeypatch.chdir(tmp_path)
    (point,) = known_points(tmp_path / "results", None, ())
    assert point_id(compose(*point.overrides, source=point.source)) == point.point_id


@pytest.mark.long
def test_jobs_of_a_launcher_of_ones_own(own: Path, capsys: Captured) -> None:
    grid = ["-m", *mine(own), "hydra/launcher=here"]
    assert main(["plan", *grid]) == 0
    assert "job" in capsys.readouterr().out
    assert main(grid) == 0, capsys.readouterr().err
    assert "1 submitted" in capsys.readouterr().err
    assert main([*mine(own), "hydra/launcher=here"]) == 1
    assert "add -m" in capsys.readouterr().err


def test_verify_and_doctor_take_ones_own_options(own: Path, capsys: Captured) -> None:
    assert main(["verify", *mine(own)]) == 0
    assert "within tolerance" in capsys.readouterr().out
    assert main(["doctor", *mine(own)]) in (0, 1)
    assert "mine" in capsys.readouterr().out
    assert main(["doctor", f"--config-dir={own}"]) == 1
    assert "goes with overrides" in capsys.readouterr().err
