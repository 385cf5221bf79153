"""`compare`: planted differences are found, pairs match, mistakes are one clear error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from helpers.stored_points import N_LAYERS, fail_point, store_point

from gradsweep.analysis.contrast import contrast, pair_of
from gradsweep.cli import main
from gradsweep.records import Axes
from gradsweep.report.contrast import sentence
from gradsweep.report.figures.contrast import draw_contrast
from gradsweep.store import load_rows
from gradsweep.store.points import point_table

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("wide_terminal")

RESULTS = Path("results")


def cells(text: str, label: str) -> list[str]:
    """The numbers of the first line that begins with this label."""
    line = next(line for line in text.splitlines() if line.split()[:1] == [label])
    return line.split()[-4:]


def test_numbers_are_those_that_were_planted(two_models: Path):
    pair = pair_of(point_table(two_models), "sn00", "sd00")
    found = contrast(load_rows(two_models, ["sn00", "sd00"]), pair)
    assert found.n_questions == 10
    for line in found.tests.to_dicts():
        assert line["first_mean"] == pytest.approx(4 * 7 / 6, rel=0.03)
        assert line["second_mean"] == pytest.approx(1, rel=0.03)
        assert line["p_adjusted"] < 0.01
        assert line["cohen_dz"] < -5
        name = line["projection"]
        rd = (5 * 3 / 4 + 7 / 8) / 6
        assert found.relative_difference(name) == pytest.approx(rd, rel=0.03)
        assert found.top_layers(name)[0] == 0
        # One step of 4 among five: 8 → 4 → 4 …
        assert found.mads["sn00", name] == pytest.approx(0.8, abs=0.3)
    assert "0.2" in sentence(found)
    assert "significantly smaller in all 4 projections" in sentence(found)


def test_two_ids_in_the_terminal_and_as_a_figure(two_models: Path, capsys: Captured):
    assert main(["compare", "sn", "sd"]) == 0
    shown = capsys.readouterr().out
    assert "small · sums · correct · nuclear norm" in shown
    assert "none → detailed" in shown
    assert "10 paired questions" in shown
    assert [float(text) for text in cells(shown, "mean")] == pytest.approx([4.67] * 4, rel=0.05)
    assert all(float(text.strip("<")) < 0.05 for text in cells(shown, "p"))
    folder = two_models / "reports" / "compare__sn__sd"
    assert {path.suffix for path in folder.iterdir()} == {".png", ".pdf"}


@pytest.mark.usefixtures("without_figures")
def test_models_may_differ(two_models: Path, capsys: Captured):
    assert main(["compare", "model=small,cot=none", "model=large,cot=none"]) == 0
    shown = capsys.readouterr().out
    assert "small → large" in shown
    assert "larger in all 4 projections" in shown


@pytest.mark.usefixtures("without_figures")
def test_only_common_questions_count(two_models: Path, capsys: Captured):
    axes = Axes("small", "sums", "simplified", "correct")
    others = [f"question{i}" for i in range(7, 20)]
    store_point(two_models, "ss00", axes, 2.0, questions=others)
    assert main(["compare", "sn", "ss"]) == 0
    shown = capsys.readouterr().out
    assert "3 paired questions" in shown
    assert "too few for a test" in shown


@pytest.mark.usefixtures("without_figures")
def test_no_difference_is_not_called_one(two_models: Path, capsys: Captured):
    store_point(two_models, "sx00", Axes("small", "sums", "detailed", "irrelevant"), 1.0)
    assert main(["compare", "sd", "sx"]) == 0
    assert "not significantly different" in capsys.readouterr().out


def test_a_figure_has_both_curves_and_their_difference(two_models: Path):
    pair = pair_of(point_table(two_models), "sn00", "sd00")
    found = contrast(load_rows(two_models, ["sn00", "sd00"]), pair)
    figure = draw_contrast(found)
    assert [panel.get_title() for panel in figure.axes[:4]] == ["Q", "K", "V", "O"]
    above, below = figure.axes[0], figure.axes[4]
    first, second = (line.get_ydata() for line in above.get_lines())
    assert len(above.collections) == 2, "bands"
    np.testing.assert_allclose(
        below.get_lines()[0].get_ydata(), np.abs(first - second) / np.abs(first)
    )
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][:2] == ["none", "detailed"]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["zz", "sd"], ["no point 'zz'", "sn00"]),
        (["s", "ld"], ["beginning of several", "sd00", "sn00"]),
        (["sn", "sn0"], ["the same point"]),
        (["sn", "cot=none"], ["two kinds"]),
        (["cot=none", "cot=simplified"], ["cot=simplified", "detailed, none"]),
        (["prompt=plain", "prompt=chat"], ["prompt=plain", "model, dataset, cot, correctness"]),
        (["cot=none,model=small", "cot=none,model=small"], ["counterpart"]),
        (["sn", "sd", "elsewhere"], ["no results in elsewhere"]),
    ],
)
def test_a_mistake_is_one_clear_error(
    args: list[str], expected: list[str], two_models: Path, capsys: Captured
):
    assert main(["compare", *args]) == 1
    message = capsys.readouterr().err
    assert message.count("error:") == 1
    assert "Traceback" not in message
    for text in expected:
        assert text in message, message


def test_no_common_question_of_a_dataset_is_an_error(two_models: Path, capsys: Captured):
    store_point(two_models, "other", Axes("small", "sums", "none", "correct"), 1.0, seed=1,
                questions=[f"word{i}" for i in range(10)])  # fmt: skip
    assert main(["compare", "sn00", "other"]) == 1
    assert "no question in common" in capsys.readouterr().err


@pytest.mark.usefixtures("without_figures")
def test_two_datasets_are_two_independent_samples(two_models: Path, capsys: Captured):
    store_point(two_models, "other", Axes("small", "words", "none", "correct"), 1.0,
                questions=[f"word{i}" for i in range(10)])  # fmt: skip
    assert main(["compare", "dataset=sums,cot=none,model=small", "dataset=words"]) == 0
    shown = capsys.readouterr().out
    assert "10 and 10 questions, none in common" in shown
    assert "significantly smaller in all 4 projections" in shown
    assert "response tokens: sums 5, words 5 on average" in shown


@pytest.mark.long
def test_torch_is_not_needed(two_models: Path):
    code = (
        "import sys; from gradsweep.cli import main; status = main(sys.argv[1:]); "
        "sys.exit(status or 'torch' in sys.modules)"
    )
    asked = [sys.executable, "-c", code, "compare", "sn", "sd"]
    assert subprocess.run(asked, check=False, capture_output=True).returncode == 0


def test_layers_that_only_one_point_has_do_not_count(two_models: Path):
    rows = load_rows(two_models, ["sn00", "sd00"])
    fewer = rows.filter((pl.col("point_id") != "sd00") | (pl.col("layer") < N_LAYERS - 1))
    found = contrast(fewer, pair_of(point_table(two_models), "sn00", "sd00"))
    assert found.differences["layer"].max() == N_LAYERS - 2
    assert found.curves["layer"].max() == N_LAYERS - 2


@pytest.mark.long
def test_a_point_without_rows_is_told_and_the_other_pairs_are_compared(
    two_models: Path, capsys: Captured
) -> None:
    for cot in ("none", "detailed"):
        store_point(RESULTS, f"si{cot[0]}0", Axes("small", "sums", cot, "irrelevant"), 1.0)
    fail_point(RESULTS, "sx00", Axes("tiny", "sums", "detailed", "correct"))
    store_point(RESULTS, "sy00", Axes("tiny", "sums", "none", "correct"), 1.0)
    assert main(["compare", "cot=none", "cot=detailed"]) == 0
    shown = capsys.readouterr().out
    assert "sx00 failed (no such file) and has no measured sample" in shown
    assert shown.count("paired questions") == 3
    for words in (["sy00", "sx00"], ["cot=none,model=tiny", "cot=detailed,model=tiny"]):
        assert main(["compare", *words]) == 1
        message = capsys.readouterr().err
        assert "nothing to compare yet: sx00 failed (no such file)" in message


@pytest.mark.long
def test_many_pairs_are_a_screen_of_lines_and_files_with_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for dataset in range(30):
        for cot, level in (("none", 4.0), ("detailed", 1.0)):
            axes = Axes("small", f"set{dataset:02}", cot, "correct")
            store_point(Path("results"), f"{cot}{dataset}", axes, level)
    assert main(["compare", "cot=none", "cot=detailed"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) < 40
    assert any("and 10 more" in line for line in shown)
    (folder,) = Path("results/reports").iterdir()
    assert {path.name for path in folder.iterdir()} == {"pairs.csv", "pairs.txt"}
    numbers = pl.read_csv(folder / "pairs.csv")
    assert numbers["dataset"].n_unique() == 30
    assert (folder / "pairs.txt").read_text().count("paired questions") == 30
