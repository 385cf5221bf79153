"""`report` as a user meets it: places, filters, metrics and the summed loss."""

from __future__ import annotations

import contextlib
from pathlib import Path

import polars as pl
import pytest

from gradsweep import compose, extract, load_rows
from gradsweep.cli import main
from gradsweep.store import load_samples_table

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("wide_terminal")


@pytest.fixture
def two_points(saved_model: Path, tmp_path: Path) -> Path:
    """No and detailed CoT of a tiny model, in Q only."""
    for cot in ("none", "detailed"):
        model = ["model=folder", f"model.source.path={saved_model}", "model.name=tiny"]
        more = ["n_samples=2", "gradients.projections=[q]", "tracking=none", f"cot={cot}"]
        extract(compose(*model, *more), show_progress=False)
    return tmp_path / "results"


def statistics(folder: Path) -> pl.DataFrame:
    return pl.read_csv(folder / "tables" / "statistics.csv")


@pytest.mark.long
def test_tables_figures_and_findings_of_what_is_stored(two_points: Path, capsys: Captured) -> None:
    assert main(["report"]) == 0
    shown = capsys.readouterr().out
    assert "Fast vs slow thinking" in shown
    for line in (
        "findings results/reports/all/findings.md",
        "tables   results/reports/all/tables/statistics.csv",
        "tables   results/reports/all/tables/tiny__arithmetic__nuclear_norm.{csv,md,tex}",
        "figures  results/reports/all/figures/tiny__arithmetic__nuclear_norm.{png,pdf}",
        "results  results/points (2 points)",
    ):
        assert line in shown.splitlines()
    found = statistics(two_points / "reports" / "all").filter(
        metric="nuclear_norm", cot="detailed", part="all"
    )
    rows = load_rows(two_points).filter(cot="detailed")
    assert found["mean"].item() == pytest.approx(rows["nuclear_norm"].mean())


@pytest.mark.long
def test_filters_narrow_a_report_and_have_their_own_folder(two_points: Path) -> None:
    assert main(["report", "results", "cot=none"]) == 0
    folder = two_points / "reports" / "all__cot=none"
    assert statistics(folder)["cot"].unique().to_list() == ["none"]
    assert not (two_points / "reports" / "all").exists()


@pytest.mark.long
def test_several_metrics(two_points: Path, capsys: Captured) -> None:
    assert main(["report", "--metric", "effective_rank,sigma_ratio"]) == 0
    shown = capsys.readouterr().out
    assert "effective rank" in shown
    assert "σ₁/Σσ" in shown
    figures = {path.stem for path in (two_points / "reports/all/figures").glob("*.png")}
    assert {"tiny__arithmetic__effective_rank", "tiny__arithmetic__sigma_ratio"} <= figures


@pytest.mark.usefixtures("without_figures")
def test_the_summed_loss_is_the_mean_times_the_tokens(two_points: Path) -> None:
    assert main(["report", "--loss", "sum"]) == 0
    samples = load_samples_table(two_points).select("sample_id", "n_response_tokens")
    rows = load_rows(two_points).filter(cot="detailed").join(samples, on="sample_id")
    found = statistics(two_points / "reports" / "all__loss=sum").filter(
        metric="nuclear_norm", cot="detailed", part="all"
    )
    assert found["mean"].item() == pytest.approx(
        (rows["nuclear_norm"] * rows["n_response_tokens"]).mean()
    )
    assert found.select("model", "series").row(0) == ("tiny", "loss=sum")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["cot=simplified"], ["cot=simplified", "detailed, none"]),
        (["prompt=plain"], ["prompt=plain", "model, dataset, cot, correctness"]),
        (["--metric", "nucular_norm"], ["nucular_norm", "effective_rank"]),
        (["--metric", "cosine_partner"], ["cosine_partner", "gradients.similarities"]),
        (["somewhere"], ["somewhere", "neither a results folder nor a sweep"]),
    ],
)
def test_a_mistake_is_one_clear_error(
    two_points: Path, capsys: Captured, args: list[str], expected: list[str]
) -> None:
    try:
        code = main(["report", *args])
    except SystemExit as end:  # argparse ends by itself
        code = end.code
    assert code not in (0, None)
    message = capsys.readouterr().err
    assert message.count("error:") == 1
    for text in expected:
        assert text in message, message


@pytest.mark.parametrize(
    "verb",
    ["report", "compare", "doctor", "status", "logs", "retry", "cancel", "sync", "dashboard"],
)
def test_every_verb_that_reads_results_takes_a_sweep(verb: str, capsys: Captured) -> None:
    with contextlib.suppress(SystemExit):
        main([verb, "--help"])
    assert "--sweep" in capsys.readouterr().out
