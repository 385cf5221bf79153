"""Reports of folders with training points, alone or beside others."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from helpers.stored_points import store_point
from helpers.stored_training import store_run

from gradsweep.cli import main
from gradsweep.records import Axes
from gradsweep.report.measures import compute_measures
from gradsweep.report.statistics import statistics
from gradsweep.report.training import training_study
from gradsweep.store import load_rows
from gradsweep.store.training import load_training

from .conftest import store_runs

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("wide_terminal")


def store_plain(results: Path) -> None:
    for cot, level in (("none", 4.0), ("detailed", 1.0)):
        axes = Axes("tiny", "sums", cot, "correct")
        store_point(results, cot, axes, level, projections="q", questions=["a", "b"])


def report_of(results: Path, *more: str) -> Path:
    assert main(["report", str(results), *more]) == 0
    return results / "reports" / "__".join(["all", *more])


@pytest.mark.long
def test_training_points_alone_have_a_report(tmp_path: Path, capsys: Captured):
    store_runs(tmp_path)
    folder = report_of(tmp_path, "cot=none")
    shown = capsys.readouterr().out
    assert "While it trains" in shown
    assert "(1 point)" in shown
    findings = (folder / "findings.md").read_text()
    assert "## While it trains" in findings
    assert "## 1." not in findings
    stems = {path.name.split("__", 2)[-1] for path in (folder / "figures").glob("*.pdf")}
    assert stems == {
        "training__nuclear_norm.pdf",
        "cot=none-correct__map__nuclear_norm.pdf",
    }
    tables = {path.name for path in (folder / "tables").iterdir()}
    assert {"training__runs.csv", "training__runs.tex", "training__runs.md",
            "training_by_step.csv", "tiny__sums__training__nuclear_norm.csv"} <= tables  # fmt: skip


@pytest.mark.usefixtures("without_figures")
def test_neither_kind_of_points_changes_what_is_said_of_the_other(tmp_path: Path):
    store_plain(tmp_path / "plain")
    store_runs(tmp_path / "runs")
    store_plain(tmp_path / "both")
    store_runs(tmp_path / "both")
    tables = report_of(tmp_path / "both") / "tables"
    plain = statistics(compute_measures(load_rows(tmp_path / "plain"), "nuclear_norm"))
    # Series may have to be named beside others; their numbers are the same.
    told = pl.read_csv(tables / "statistics.csv").filter(metric="nuclear_norm")
    for column in ("mean", "mad", "mean_low", "mean_high", "mad_high"):
        assert told[column].to_list() == plain[column].fill_nan(None).to_list()
    alone = training_study(load_training(tmp_path / "runs")).by_step
    assert (tables / "training_by_step.csv").read_text() == alone.fill_nan(None).write_csv()


@pytest.mark.usefixtures("without_figures")
def test_both_kinds_stand_in_one_report(tmp_path: Path, capsys: Captured):
    store_plain(tmp_path)
    store_runs(tmp_path)
    findings = (report_of(tmp_path) / "findings.md").read_text()
    assert [f"## {n}." in findings for n in (1, 6, 7)] == [True] * 3
    assert "(4 points)" in capsys.readouterr().out


@pytest.mark.usefixtures("without_figures")
def test_filters_choose_runs_and_a_metric_of_samples_leaves_the_norm(
    tmp_path: Path, capsys: Captured
):
    store_runs(tmp_path)
    report_of(tmp_path, "cot=none")
    shown = capsys.readouterr().out
    assert "runnone" in shown
    assert "rundetai" not in shown
    assert main(["report", str(tmp_path), "--metric", "loss"]) == 0
    assert "nuclear norm" in capsys.readouterr().out


@pytest.mark.usefixtures("without_figures")
def test_the_summed_loss_leaves_runs_out(tmp_path: Path, capsys: Captured):
    store_runs(tmp_path)
    assert main(["report", str(tmp_path), "--loss", "sum"]) != 0
    assert "leave --loss out" in capsys.readouterr().err
    store_plain(tmp_path)
    assert main(["report", str(tmp_path), "--loss", "sum"]) == 0
    assert "While it trains" not in capsys.readouterr().out


@pytest.mark.usefixtures("without_figures")
def test_a_run_that_has_only_begun_is_reported_as_far_as_it_is(tmp_path: Path, capsys: Captured):
    axes = Axes("tiny", "sums", "none", "correct")
    store_run(tmp_path, "young", axes, update=[2.0], losses=[3.0], finish=False)
    report_of(tmp_path)
    assert "young" in capsys.readouterr().out
