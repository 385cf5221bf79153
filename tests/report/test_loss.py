"""The loss in reports: beside every metric, and as a metric of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest
from helpers.stored_points import store_point

from gradsweep.cli import main
from gradsweep.records import Axes

pytestmark = pytest.mark.usefixtures("wide_terminal")

RESULTS = Path("results")
LOSSES = {
    ("none", "correct"): 5.0,
    ("none", "irrelevant"): 5.5,
    ("detailed", "correct"): 1.0,
    ("detailed", "irrelevant"): 2.0,
}


@pytest.fixture
def stored(wide_terminal: None) -> Path:
    for (cot, kind), loss in LOSSES.items():
        axes = Axes("tiny", "sums", cot, kind)
        store_point(RESULTS, f"{cot}{kind}", axes, 2.0 * loss, loss=loss)
    return RESULTS


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What would be drawn, which takes seconds."""
    found: list[object] = []

    def keep(figures: list[object], *_: object) -> list[Path]:
        found.extend(figures)
        return []

    monkeypatch.setattr("gradsweep.report.files.save_all_figures", keep)
    monkeypatch.setattr("gradsweep.report.pairs._figures", lambda *_: iter(()))
    return found


def report(*words: str) -> Path:
    assert main(["report", *words]) == 0
    return RESULTS / "reports" / "all"


@pytest.mark.long
def test_every_table_shows_the_loss(stored: Path, capsys: pytest.CaptureFixture[str]):
    report()
    shown = capsys.readouterr().out
    line = next(line for line in shown.splitlines() if line.split()[:1] == ["loss"])
    assert line.split() == ["loss", "5.0", "5.5", "1.0", "2.0"]


@pytest.mark.long
def test_it_is_in_the_tables_and_on_the_page(stored: Path):
    folder = report()
    statistics = pl.read_csv(folder / "tables" / "statistics.csv")
    statistics = statistics.filter(pl.col("metric") == "loss")
    found = {(cot, kind): mean for cot, kind, mean in
             statistics.select("cot", "correctness", "mean").rows()}  # fmt: skip
    assert found == pytest.approx(LOSSES)
    assert statistics["mad"].null_count() == 4
    assert (folder / "tables" / "tiny__sums__loss.tex").exists()
    rd = pl.read_csv(folder / "tables" / "tiny__sums__loss__rd.csv")
    assert rd["tiny RD"].to_list() == pytest.approx([0.1, 1.0])
    text = (folder / "index.html").read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert data is not None
    page = json.loads(data[1])
    (loss,) = (table for table in page["tables"] if table["name"] == "tiny__sums__loss")
    shown = {tuple(line["keys"][-2:]): float(line["cells"][0][0]) for line in loss["lines"]}
    assert shown == LOSSES
    assert "loss" not in page["curves"], "it has no layers"
    table = text[text.index('<table class="found">') :]
    lines = re.findall(r"<tr style.*?</tr>", table[: table.index("</table>")], re.S)
    assert [re.findall(r'picture loss">.*?number">([\d.]+)', line, re.S) for line in lines] == [
        ["5.0"],
        ["1.0"],
    ]
    assert [line.count("<circle") for line in lines] == [4, 4], "both metrics, both responses"
    assert "the loss in place of the gradient: same verdict" in (folder / "findings.md").read_text()


@pytest.mark.long
def test_a_report_of_the_loss_alone(
    stored: Path, capsys: pytest.CaptureFixture[str], drawn: list[object]
):
    folder = report("--metric", "loss")
    shown = capsys.readouterr().out
    assert "tiny · sums · loss (nats)" in shown
    assert "mean loss falls: none 5.0 > detailed 1.0." in shown
    assert "RD 0.10 without CoT, 1.0 with detailed CoT; larger with detailed CoT than" in shown
    assert "MAD" not in shown
    findings = (folder / "findings.md").read_text()
    assert "| mean, irrelevant / correct, detailed" not in findings  # bold, as what decides is
    assert (
        "| **mean, irrelevant / correct, detailed** | above 1; counts: 1.1 | 2 [2, 2]" in findings
    )
    curves = [one for one in drawn if one.names[0] != "open_questions"]
    assert not curves, "a value per point is no curve"


@pytest.mark.long
def test_summed_over_tokens_with_the_gradients(stored: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", "--loss", "sum"]) == 0
    shown = capsys.readouterr().out
    line = next(line for line in shown.splitlines() if line.split()[:1] == ["loss"])
    assert line.split() == ["loss", "25.0", "27.5", "5.0", "10.0"]  # of five tokens each
    findings = (RESULTS / "reports" / "all__loss=sum" / "findings.md").read_text()
    assert "loss averaged over tokens: same verdict" in findings


def test_compare_tests_the_loss_too(stored: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["compare", "correctness=correct", "correctness=irrelevant"]) == 0
    shown = capsys.readouterr().out
    assert "• irrelevant has 2.0 times the mean loss of correct: significantly larger." in shown
    assert main(["compare", "cot=none", "cot=detailed", "--metric", "loss"]) == 0
    shown = capsys.readouterr().out
    assert "detailed has 0.20 times the mean loss of none: significantly smaller." in shown
    assert "MAD" not in shown
