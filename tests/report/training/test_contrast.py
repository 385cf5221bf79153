"""`compare` of training points: second minus first by step, over runs with the same seeds."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from helpers.stored_points import store_point
from helpers.stored_training import store_run

from gradsweep.cli import main
from gradsweep.records import Axes
from gradsweep.store import PointPaths

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("wide_terminal")

SIDES = ["cot=none", "cot=detailed"]
LOSSES = {"none": [4.0, 2.0], "detailed": [3.0, 1.5]}
NORMS = {"none": 4.0, "detailed": 1.0}


def axes(cot: str) -> Axes:
    return Axes("tiny", "sums", cot, "correct")


def store(results: Path, cot: str, seed: int = 0, more: float = 0.0) -> PointPaths:
    """A run of two steps, whose losses are `more` than those of its condition."""
    norm = NORMS[cot]
    return store_run(
        results, f"{cot}{seed}", axes(cot), seed=seed, update=[norm, norm / 2], norms=[9.0, 6.0],
        losses=[loss + more for loss in LOSSES[cot]], held_out={0: 5.0, 2: norm},
        probes={"none": {0: norm, 2: norm / 2}},
    )  # fmt: skip


def numbers(results: Path) -> pl.DataFrame:
    (file,) = (results / "reports").rglob("by_step.csv")
    return pl.read_csv(file)


def test_one_run_of_each_has_intervals_over_the_probes_questions(
    tmp_path: Path, capsys: Captured
) -> None:
    for cot in LOSSES:
        store(tmp_path, cot)
    assert main(["compare", *SIDES, str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "none → detailed" in shown
    assert "over 12 questions" in shown
    by_step = numbers(tmp_path)
    loss = by_step.filter(quantity="loss")
    assert loss["step"].to_list() == [0, 1]
    assert loss["difference"].to_list() == [-1.0, -0.5]
    assert loss["low"].null_count() == 2, "one loss each has nothing to vary"
    assert by_step.filter(quantity="held-out loss")["difference"].to_list() == [0.0, -3.0]
    assert by_step.filter(quantity="gradient norm")["first"].to_list() == [9.0, 6.0]
    assert by_step.filter(quantity="update")["second"].to_list() == [1.0, 0.5]
    probe = by_step.filter(quantity="probe")
    assert probe["n_questions"].to_list() == [12, 12]
    for line in probe.to_dicts():
        assert line["low"] < line["difference"] < line["high"] < 0
        assert line["difference"] == pytest.approx(line["second"] - line["first"])


def test_seeds_are_repetitions_and_their_differences_have_students_interval(
    tmp_path: Path, capsys: Captured
) -> None:
    for seed, more in enumerate((0.1, 0.0, -0.1)):
        store(tmp_path, "none", seed)
        store(tmp_path, "detailed", seed, more)
    store(tmp_path, "detailed", 7)
    assert main(["compare", *SIDES, str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "over 3 runs of each" in shown
    assert "no run on the other side has their seeds: detailed" in " ".join(shown.split())
    line = numbers(tmp_path).filter(quantity="loss", step=0).row(0, named=True)
    assert (line["difference"], line["n_pairs"]) == (pytest.approx(-1.0), 3)
    half = 4.302653 * 0.1 / 3**0.5  # Student's t with two degrees of freedom
    assert line["high"] - line["difference"] == pytest.approx(half)
    assert line["difference"] - line["low"] == pytest.approx(half)


def test_training_points_are_named_by_what_only_they_have(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradsweep.report.pairs.MOST_FIGURES", 0)
    for cot in LOSSES:
        store(tmp_path, cot)
        store_point(tmp_path, f"plain-{cot}", axes(cot), 1.0, projections="q")
    assert main(["compare", *SIDES, str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "paired questions" in shown
    assert "2 training points are compared by step: name training=" in shown
    runs = ["training=full", SIDES[0], "training=full", SIDES[1]]
    assert main(["compare", *runs, str(tmp_path)]) == 0
    assert "none → detailed" in capsys.readouterr().out
    first = numbers(tmp_path)
    assert len(first.filter(quantity="loss")) == 2, "one pair"
    assert main(["compare", "none0", "detailed0", str(tmp_path)]) == 0
    again = pl.read_csv(tmp_path / "reports/compare__none0__detailed0/by_step.csv")
    assert again.equals(first), "two ids are the same pair"
    assert main(["compare", "none0", "plain-detailed", str(tmp_path)]) == 1
    assert "none0 is a training point" in capsys.readouterr().err


def test_what_cannot_be_compared_says_why(tmp_path: Path, capsys: Captured) -> None:
    store(tmp_path, "none", 0)
    store(tmp_path, "detailed", 1)
    assert main(["compare", *SIDES, str(tmp_path)]) == 1
    assert "no seed in common: seed=0 training.seed=0 and seed=1" in capsys.readouterr().err
    store_run(tmp_path, "young", axes("simplified"), finish=False)
    assert main(["compare", "none0", "young", str(tmp_path)]) == 1
    assert "nothing to compare yet" in capsys.readouterr().err
