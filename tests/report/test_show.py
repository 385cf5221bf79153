"""Metrics that take an option, shown where they were measured and absent elsewhere."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from helpers.stored_points import store_point

from gradsweep import compose, extract
from gradsweep.cli import main
from gradsweep.extraction import PointResult
from gradsweep.records import Axes
from gradsweep.report.show import show_results

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("wide_terminal")


def run(saved_model: Path, *more: str) -> PointResult:
    overrides = [
        "model=folder",
        f"model.source.path={saved_model}",
        "model.name=tiny",
        "tracking=none",
        "n_samples=2",
        "gradients=attention_mlp",
        *more,
    ]
    return extract(compose(*overrides), show_progress=False)


@pytest.mark.long
@pytest.mark.parametrize("metric", ["cosine_next_layer", "cosine_partner"])
def test_cosines_are_reported_where_they_were_measured(
    metric: str, saved_model: Path, capsys: Captured
) -> None:
    for cot in ("none", "detailed"):
        for correctness in ("correct", "irrelevant"):
            axes = f"cot={cot}", f"correctness={correctness}"
            point = run(saved_model, "gradients.similarities=true", *axes)
    capsys.readouterr()
    assert main(["report", "--metric", metric]) == 0
    shown = capsys.readouterr().out
    assert "cosine with the" in shown
    (mean_of_q,) = (line.split() for line in shown.splitlines() if line.startswith(" mean "))
    assert all(math.isfinite(float(number)) for number in mean_of_q[2:])
    # gate, up and down have no partner: no lines rather than lines of dashes.
    assert ("gate" in shown) == (metric == "cosine_next_layer")
    assert list(Path("results/reports").rglob(f"*{metric}*.png"))

    metrics = json.loads(point.paths.summary.read_text())["metrics"]
    of_q = point.rows().filter(projection="q")[metric].fill_nan(None)
    assert metrics[f"{metric}_mean_q"] == pytest.approx(of_q.mean())
    assert (f"{metric}_mean_gate" in metrics) == (metric == "cosine_next_layer")


def test_without_the_option_no_summary_has_them_and_a_report_says_what_measures_them(
    saved_model: Path, capsys: Captured
) -> None:
    point = run(saved_model)
    summary = point.paths.summary.read_text()
    assert "cosine" not in summary
    assert "nuclear_norm_mean_gate" in summary
    assert main(["report", "--metric", "cosine_partner"]) != 0
    said = capsys.readouterr().err
    assert "metric=cosine_partner" in said
    assert "gradients.similarities=true" in said


def test_odd_points_beside_a_grid_hide_nothing_of_it(tmp_path: Path, capsys: Captured) -> None:
    def shown() -> str:
        show_results(tmp_path, None, "all", figures=False)
        return capsys.readouterr().out

    for cot, level in (("none", 4.0), ("detailed", 1.0)):
        store_point(tmp_path, cot, Axes("tiny", "sums", cot, "correct"), level)
    table = [line for line in shown().splitlines() if line.strip().startswith(("mean", "MAD", "K"))]
    assert table
    for n in (2, 3, 4):
        axes = Axes("tiny", "sums", "none", "correct")
        store_point(tmp_path, f"odd{n}", axes, 9.0, questions=[f"question{i}" for i in range(n)])
    after = shown().splitlines()
    assert all(line in after for line in table)


@pytest.mark.long
def test_many_levels_are_a_screen_of_lines_and_a_file_with_everything(
    tmp_path: Path, capsys: Captured
) -> None:
    levels = {"none": 8.0, "partial_1": 5.0, "partial_2": 4.0, "simplified": 3.0, "detailed": 2.0,
              "detailed_shuffled": 2.0}  # fmt: skip
    for cot, level in levels.items():
        wrong = 3.0 if cot == "detailed_shuffled" else 1.5
        for correctness, times in (("correct", 1.0), ("irrelevant", wrong)):
            axes = Axes("tiny", "sums", cot, correctness)
            store_point(tmp_path, f"{cot}-{correctness}", axes, level * times)
    assert main(["report", str(tmp_path)]) == 0
    above, _, _ = capsys.readouterr().out.partition("Open questions")
    lines = above.splitlines()
    assert len(lines) < 50
    for cot, level in levels.items():
        (line,) = [text.split() for text in lines if text.split()[:1] == [cot]]
        loss, difference, *means = map(float, line[1:])
        assert loss == 1
        assert difference == pytest.approx(2 if cot == "detailed_shuffled" else 0.5, rel=0.1)
        assert means == pytest.approx([level] * 4, rel=0.1)
    assert "detailed_shuffled CoT" not in above, "a control lies nowhere between fast and slow"
    told = (tmp_path / "reports" / "all" / "tables" / "comparisons__nuclear_norm.txt").read_text()
    assert "MAD/mean" in told
    assert all(cot[:14] in told for cot in levels), "names are folded at 14 letters"


def test_thousands_of_tables_are_two_with_all_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """Nobody opens a file for each of hundreds of models and datasets."""
    for dataset in ("sums", "words", "others"):
        for kind in ("correct", "irrelevant"):
            store_point(tmp_path, f"{dataset}{kind}", Axes("tiny", dataset, "none", kind), 1.0)
    tables = tmp_path / "reports" / "all" / "tables"
    assert main(["report", str(tmp_path)]) == 0
    assert list(tables.glob("tiny__*"))
    kept = ("statistics.csv", "relative_differences.csv")
    numbers = {name: (tables / name).read_text() for name in kept}
    shutil.rmtree(tmp_path / "reports")
    monkeypatch.setattr("gradsweep.report.tables.MOST_STUDIES", 2)
    capsys.readouterr()
    assert main(["report", str(tmp_path)]) == 0
    assert {name: (tables / name).read_text() for name in kept} == numbers
    assert not list(tables.glob("tiny__*"))
    assert not list(tables.glob("comparisons*"))
    assert "report model=" in " ".join(capsys.readouterr().out.split())
    page = (tmp_path / "reports" / "all" / "index.html").read_text()
    assert "relative_differences.csv" in page
    assert 'id="table-choice"' not in page
