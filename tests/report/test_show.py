"""Metrics that take an option, shown where they were measured and absent elsewhere."""

from __future__ import annotations

import json
import math
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
