"""Open questions on the page: charts with intervals, on wide and narrow windows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from helpers.page_reader import show
from helpers.planted_page import stored_of
from helpers.question_rows import planted

from gradsweep.analysis.open_questions import OPEN_QUESTIONS, Answered, evaluate_open_questions
from gradsweep.report.findings import findings_markdown
from gradsweep.report.page import prepare_page

LEVELS = {"none": 3, "none_as_long_as_detailed": 90, "detailed": 90}
N = 12


@pytest.fixture(scope="module")
def answered() -> list[Answered]:
    rng = np.random.default_rng(0)
    rows, samples = planted(
        {
            (cot, "correct"): {
                "nuclear_norm": rng.lognormal(sigma=0.1, size=N),
                "tokens": rng.integers(tokens, 2 * tokens, N).astype(float),
            }
            for cot, tokens in LEVELS.items()
        },
        n_questions=N,
        model="<b>tiny",
    )
    return evaluate_open_questions(rows, samples=samples, resamples=100)


@pytest.fixture
def page(rows: pl.DataFrame, answered: list[Answered], tmp_path: Path) -> Path:
    stored = stored_of(rows.clear())
    findings = findings_markdown(())
    prepared = prepare_page(tmp_path / "all", rows.clear(), [], stored, answered=answered)
    return prepared.write(findings)


def test_levels_are_joined_and_controls_of_length_stand_alone(
    page: Path, data_of: Callable[[Path], dict[str, Any]]
):
    ((chart,), *others) = data_of(page)["questions"]
    assert others == [[]] * (len(OPEN_QUESTIONS) - 1)
    assert [panel["quantity"] for panel in chart["panels"]] == ["averaged", "summed"]
    of_levels, of_length = sorted(chart["panels"][0]["lines"], key=lambda line: line["dots"])
    assert len(of_levels["step"]) == 2
    assert of_length["dots"]
    assert of_length["low"][0] < of_length["value"][0] < of_length["high"][0]
    assert chart["x"]["log"] is True
    assert "<b>tiny" not in page.read_text().replace("\\u003cb>tiny", "")


DRAWN = """
const chart = document.querySelector(".question-chart");
const drawn = chart.data.filter((one) => one.hoverinfo !== "skip");
return drawn.map((one) => [one.mode, Boolean(one.error_y)]);
"""
POOR = "return document.documentElement.scrollWidth > innerWidth"


@pytest.mark.parametrize("width", [1440, 390])
def test_a_browser_draws_them(chromium: Any, page: Path, width: int):
    show(chromium, page, width)
    drawn = chromium.execute_script(DRAWN)
    assert ["markers", True] in drawn
    assert ["lines+markers", False] in drawn
    assert not chromium.execute_script(POOR)
    titles = [one.text for one in chromium.find_elements("css selector", "#questions > h3")]
    assert len(titles) == len(OPEN_QUESTIONS)
    assert [line for line in chromium.get_log("browser") if line["level"] == "SEVERE"] == []
