"""The command line as a user meets it: help, one clear error, grids, verbs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gradsweep.cli import main
from gradsweep.cli.help import help_text
from gradsweep.config.files import AXIS_GROUPS, config_dir

Captured = pytest.CaptureFixture[str]


pytestmark = pytest.mark.usefixtures("wide_terminal")


@pytest.fixture
def tiny(saved_model: Path) -> list[str]:
    """A run that takes a second."""
    return [
        "model=folder",
        f"model.source.path={saved_model}",
        "model.name=tiny",
        "tracking=none",
        "n_samples=2",
    ]


def errors(captured: Captured) -> str:
    return captured.readouterr().err


# --- help


def test_help_teaches_axes_options_and_examples() -> None:
    text = help_text()
    for group in AXIS_GROUPS:
        assert f"{group}=" in text
        for file in (config_dir() / group).glob("*.yaml"):
            assert f"    {file.stem} " in text, "every option is there"
    assert text.count("python -m gradsweep ") >= 5
    assert max(map(len, text.splitlines())) <= 95


def test_help_answers_without_heavy_imports() -> None:
    code = (
        "import sys; from gradsweep.cli import main; main(['--help']);"
        "sys.exit(sum(m in sys.modules for m in ('torch', 'hydra', 'polars', 'transformers')))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0
    assert "axes" in answer.stdout


def test_planning_and_reading_never_import_torch(tiny: list[str]) -> None:
    code = (
        "import sys; from gradsweep.cli import main; main(sys.argv[1:]);"
        "import gradsweep.analysis, gradsweep.report, gradsweep.store; gradsweep.load_rows;"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "plan", "-m", *tiny, "cot=none,detailed"]
    assert subprocess.run(command, capture_output=True).returncode == 0


# --- one clear error


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["model=gpt17"], ["gpt17", "smollm2_135m_instruct", "llama3_8b"]),
        (["cot=medium"], ["medium", "none", "simplified", "detailed"]),
        (["dataset=jsonl"], ["dataset.path", "jsonl"]),
        (["dataset=jsonl", "dataset.path=nowhere.jsonl"], ["nowhere.jsonl"]),
        (["dataset=gsm8k"], ["dataset.root", "gsm8k"]),
        (["dataset=gsm8k", "dataset.root=nowhere"], ["nowhere"]),
        (["dataset=wiki_popular_100", "cot=detailed"], ["wiki_popular_100", "cot=detailed"]),
        (["n_samples=0"], ["n_samples", "at least 1", "0"]),
        (["n_samples=many"], ["n_samples", "many"]),
        (
            ["gradients.projections=[q,mlp]"],
            ["gradients.projections", "'mlp'", "q, k, v, o, attn_gate"],
        ),
        (["gradients.colour=red"], ["colour"]),
        (["model.source.kind=folder", "model.source.path=nowhere"], ["nowhere"]),
        (["frobnicate"], ["frobnicate", "plan, status, logs, retry, cancel, report", "--help"]),
        (["plan", "--fast"], ["--fast"]),
        (["status", "nowhere"], ["nowhere", "results folder"]),
        (["report", "nowhere"], ["nowhere"]),
    ],
)
def test_bad_input_is_one_error_that_names_it(
    args: list[str], expected: list[str], capsys: Captured
) -> None:
    extra = ["tracking=none"] if "=" in args[0] else []
    assert main([*args, *extra]) != 0
    message = errors(capsys)
    assert "Traceback" not in message
    assert message.count("error:") == 1
    for text in expected:
        assert text in message, message


def test_a_bad_point_stops_a_grid_before_anything_runs(
    tiny: list[str], capsys: Captured, tmp_path: Path
) -> None:
    assert main(["-m", *tiny, "n_samples=2,0"]) == 1
    assert "n_samples must be at least 1" in errors(capsys)
    assert not (tmp_path / "results").exists()


# --- grids


@pytest.mark.long
def test_a_grid_runs_shows_and_is_not_run_twice(
    tiny: list[str], capsys: Captured, tmp_path: Path
) -> None:
    grid = ["-m", *tiny, "cot=none,simplified", "correctness=correct,irrelevant"]
    assert main(grid) == 0
    shown = capsys.readouterr()
    assert "4 points, 0 done, 4 to run" in shown.err
    assert "[4/4] simplified · irrelevant" in shown.err
    for text in ("none", "simplified", "irrelevant", "MAD", "RD", "Q"):
        assert text in shown.out
    figures = list((tmp_path / "results" / "reports").glob("*/figures/*.png"))
    assert len(figures) == 1
    assert str(figures[0].relative_to(tmp_path)) in shown.out
    (manifest,) = (tmp_path / "results" / "sweeps").glob("*/manifest.json")
    assert len(json.loads(manifest.read_text())["points"]) == 4

    assert main(grid) == 0
    again = capsys.readouterr()
    assert "4 points, 4 done, 0 to run" in again.err
    assert again.err.count("done already") == 4
    assert again.out == shown.out

    assert main(["report", "--metric", "effective_rank"]) == 0
    reported = capsys.readouterr().out
    assert "effective rank" in reported
    files = tmp_path / "results" / "reports" / "all"
    assert (files / "findings.md").is_file()
    for written in (files / "tables", files / "figures"):
        for path in written.iterdir():
            assert str(path.with_suffix("").relative_to(tmp_path)) in reported
    assert main(["status"]) == 0
    assert "4 done" in capsys.readouterr().out


@pytest.mark.long
def test_cells_the_study_does_not_have_are_left_out_with_the_reason(
    tiny: list[str], capsys: Captured, tmp_path: Path
) -> None:
    folder = tmp_path / "paper" / "lighteval_math"
    folder.mkdir(parents=True)
    sample = {"instruction": "What is 1 + 1?", "input": "", "output": "It is $\\boxed{2}$."}
    for name in ("algebra_with_cot.json", "algebra_with_cot_gpt4o.json"):
        (folder / name).write_text(json.dumps([sample, sample | {"instruction": "And 2 + 2?"}]))
    grid = ["-m", *tiny, "dataset=math_algebra", f"dataset.root={tmp_path / 'paper'}"]
    assert main([*grid, "cot=none,simplified"]) == 0
    shown = errors(capsys)
    assert "left out: dataset=math_algebra has no cot=none" in shown
    assert "1 point, 0 done, 1 to run" in shown


@pytest.mark.long
def test_one_failing_point_of_many_is_named_and_the_others_are_kept(
    tiny: list[str], capsys: Captured, tmp_path: Path
) -> None:
    data = tmp_path / "mine.jsonl"
    data.write_text(
        json.dumps({"prompt": "1 + 1?", "responses": {"none": "2", "detailed": ""}}) + "\n"
    )
    grid = ["-m", *tiny, "dataset=jsonl", f"dataset.path={data}", "cot=detailed,none"]
    assert main(grid) == 1
    shown = capsys.readouterr()
    assert "not done: detailed: DataError: none of the 1 samples" in shown.err
    assert "FAILED.json" in shown.err
    assert "Traceback" not in shown.err
    assert main(["status"]) == 0
    states = capsys.readouterr().out
    assert "1 failed, 1 done" in states or "1 done, 1 failed" in states
    assert "none of the 1 samples" in states


@pytest.mark.usefixtures("without_figures")
def test_values_in_brackets_are_shown_as_they_are(tiny: list[str], capsys: Captured) -> None:
    assert main(["-m", *tiny, "gradients.projections=[q],[q,v]"]) == 0
    shown = errors(capsys)
    assert "[1/2] gradients.projections=[q]  2/2" in shown
    assert "[2/2] gradients.projections=[q,v]  2/2" in shown


@pytest.mark.usefixtures("without_figures")
def test_the_same_point_asked_for_twice_runs_once(
    tiny: list[str], capsys: Captured, tmp_path: Path
) -> None:
    assert main(["-m", *tiny, "gradients.batch_tokens=64,128"]) == 0
    assert "1 point" in errors(capsys)
    assert len(list((tmp_path / "results" / "points").iterdir())) == 1


@pytest.mark.usefixtures("without_figures")
def test_plan_shows_the_grid_and_starts_nothing(
    tiny: list[str], capsys: Captured, tmp_path: Path
) -> None:
    assert main([*tiny]) == 0
    capsys.readouterr()
    assert main(["plan", "-m", *tiny, "cot=none,simplified"]) == 0
    shown = capsys.readouterr().out
    assert "2 points, 1 done, 1 to run" in shown
    assert [line.count(" run ") for line in shown.splitlines() if " none " in line] == [0]
    assert [line.count(" run ") for line in shown.splitlines() if " simplified " in line] == [1]
    assert len(list((tmp_path / "results" / "points").iterdir())) == 1


@pytest.mark.long
def test_the_stock_local_launcher_works_because_a_point_is_idempotent(
    tiny: list[str], capsys: Captured, tmp_path: Path
) -> None:
    grid = ["-m", *tiny, "cot=none,simplified", "hydra/launcher=submitit_local"]
    assert main(grid) == 0, errors(capsys)
    assert len(list((tmp_path / "results" / "points").glob("*/DONE"))) == 2
