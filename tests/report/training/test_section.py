"""The section on training points: what moved, from where to where, with intervals."""

from __future__ import annotations

import polars as pl
from rich.console import Console

from gradsweep.report.findings import findings_markdown
from gradsweep.report.page.findings import section_html
from gradsweep.report.training import TrainingStudy
from gradsweep.report.training.section import training_markdown
from gradsweep.report.training.tables import evenly, training_tables
from gradsweep.report.training.terminal import training_table


def test_it_says_how_probes_their_ratio_and_the_held_out_loss_move(study: TrainingStudy):
    text = training_markdown(study)
    assert text.startswith("## While it trains")
    (line,) = (line for line in text.splitlines() if line.startswith("- **no CoT**"))
    for words in ("probe no CoT", "probe detailed CoT", "the ratio of no CoT to detailed CoT"):
        assert f"; {words} " in line.replace("measurement: ", "; ")
    assert "the held-out loss 4.5 → 2.25" in line
    assert line.count("[") == 6, "two probes and their ratio, at two moments"
    html = section_html(text)
    assert "<table" in html
    assert "While it trains" not in html


def test_every_run_has_a_line_and_every_measured_step_its_numbers(study: TrainingStudy):
    of_runs, by_step = training_tables(study)
    assert of_runs.frame["learns from"].to_list() == ["no CoT", "detailed CoT"]
    assert of_runs.frame["last_loss"].to_list() == [2.0, 2.0]
    of_none = by_step.frame.filter(pl.col("learns from") == "no CoT")
    assert of_none["step"].to_list() == ["0", "4"]
    assert of_none["held out"].to_list() == [4.5, 2.25]
    assert of_none["update"][0] == 4.0
    ratio = of_none.select("none / detailed low", "none / detailed", "none / detailed high")
    assert ratio.row(0)[0] < ratio.row(0)[1] < ratio.row(0)[2]


def test_long_runs_show_their_ends_and_some_steps_between():
    assert evenly(range(5), 12) == [0, 1, 2, 3, 4]
    shown = evenly(range(1000), 12)
    assert len(shown) == 12
    assert (shown[0], shown[-1]) == (0, 999)


def test_the_terminal_has_a_line_for_each_run(study: TrainingStudy):
    with (console := Console(width=80)).capture() as captured:
        console.print(training_table(study))
    lines = captured.get().splitlines()
    (of_none,) = (line for line in lines if line.startswith(" runnone"))
    assert of_none.split()[1:5] == ["none", "4", "4→2", "4.5→2.2"]


def test_claims_about_training_stand_on_the_findings_page_with_their_own_words(
    study: TrainingStudy,
):
    page = findings_markdown(study.findings, sections=["", training_markdown(study)])
    assert page.index("## While it trains") < page.index("## How to read this page")
    assert "## 6. What step 0 shows foretells how training goes" in page
    assert "## 7. The gap between fast and slow thinking stays" in page
    assert "| tiny | sums cot=none | ✗ |" in page
    of_runs = page[page.index("## 6.") : page.index("## 7.")]
    assert "| all | runs | verdict |" in of_runs
    assert "2 runs of this model, 8 are needed for a verdict" in of_runs
