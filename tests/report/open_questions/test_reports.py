"""Reports have the section on open questions, in findings, page and files."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from helpers.planted_page import stored_of

from gradsweep.analysis.open_questions import Answered
from gradsweep.report import write_report

Points = tuple[pl.DataFrame, pl.DataFrame]


def test_findings_page_and_tables_have_the_answers(
    points: Points, answered: list[Answered], tmp_path: Path
):
    rows, samples = points
    stored = stored_of(rows, samples=samples.with_columns(
        reason=pl.lit(""), index=0, n_prompt_tokens=5, truncated=False))  # fmt: skip
    written = write_report(
        rows, tmp_path, stored=stored, samples=stored.samples, answered=answered, most_figures=0,
        processes=1,
    )  # fmt: skip
    findings = (tmp_path / "findings.md").read_text()
    assert findings.index("## Open questions") < findings.index("## How to read this page")
    page = (tmp_path / "index.html").read_text()
    assert 'id="questions"' in page
    assert "Is it reasoning, or tokens?" in page
    assert tmp_path / "tables" / "open_questions.csv" in written
    assert "Loss summed over tokens, not averaged: the mean rises in all 2" in page
