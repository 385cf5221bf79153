"""Training points on the page: their charts' numbers, and that the page stands without others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from helpers.page_reader import choose, show
from helpers.planted_page import stored_of
from helpers.stored_training import store_run

from gradsweep.records import Axes
from gradsweep.report.findings import findings_markdown
from gradsweep.report.page import prepare_page
from gradsweep.report.page.training import MOST_COLUMNS, MOST_POINTS, training_charts
from gradsweep.report.training import TrainingStudy, training_study
from gradsweep.store.training import load_training

PROBES = {"none": {0: 4.0, 4: 1.0}, "detailed": {0: 0.5, 4: 0.4}}


def study_of(results: Path, **changes: Any) -> TrainingStudy:
    settings = {"update": [4.0, 2.0], "probes": PROBES, "losses": [3.0, 2.0]} | changes
    store_run(results, "run", Axes("<i>tiny", "sums", "none", "correct"), **settings)
    return training_study(load_training(results))


@pytest.fixture
def page_with(rows: pl.DataFrame, tmp_path: Path) -> Callable[..., Path]:
    def write(study: TrainingStudy | None) -> Path:
        nothing = rows.clear()
        findings = findings_markdown(study.findings if study else ())
        prepared = prepare_page(tmp_path / "all", nothing, [], stored_of(nothing), study=study)
        return prepared.write(findings)

    return write


def test_training_points_alone_make_a_page(
    page_with: Callable[..., Path], data_of: Callable[[Path], dict[str, Any]], tmp_path: Path
):
    page = page_with(study_of(tmp_path))
    text = page.read_text()
    assert 'id="training"' in text
    assert 'id="findings"' in text
    assert 'id="curves"' not in text
    assert "<i>tiny" not in text.replace("\\u003ci>tiny", "")
    (group,) = data_of(page)["training"]
    assert [panel["quantity"] for panel in group["panels"]] == [
        "update", "probes", "none / detailed", "loss",
    ]  # fmt: skip
    probes = group["panels"][1]["lines"]
    assert [line["step"] for line in probes] == [[0, 4], [0, 4]]
    assert all(line["low"][0] < line["value"][0] < line["high"][0] for line in probes)
    update = group["maps"][0]
    assert update["projections"][0]["values"] == [[4.0, 2.0]] * 4


def test_a_page_without_training_points_has_no_such_section(
    page_with: Callable[..., Path], data_of: Callable[[Path], dict[str, Any]]
):
    page = page_with(None)
    assert 'id="training"' not in page.read_text()
    assert data_of(page)["training"] == []


def test_long_runs_do_not_make_a_long_page(tmp_path: Path):
    steps = 2 * MOST_POINTS
    study = study_of(tmp_path, update=[1.0] * 90, losses=[2.0] * steps, probes={})
    (group,) = training_charts(study)
    of_loss = next(panel for panel in group["panels"] if panel["quantity"] == "loss")
    (line,) = of_loss["lines"]
    assert len(line["step"]) == MOST_POINTS
    assert (line["step"][0], line["step"][-1]) == (0, steps - 1)
    assert len(group["maps"][0]["steps"]) == MOST_COLUMNS


DRAWN = """
const chart = document.querySelector(".training-chart");
return chart.data.filter((one) => one.hoverinfo !== "skip").map((one) => [...one.y]);
"""
WIDER_THAN_THE_WINDOW = "return document.documentElement.scrollWidth > innerWidth"


@pytest.mark.parametrize("width", [1440, 390])
def test_a_browser_draws_lines_by_step_and_the_chosen_map(
    chromium: Any, page_with: Callable[..., Path], tmp_path: Path, width: int
):
    show(chromium, page_with(study_of(tmp_path)), width)
    assert [4.0, 2.0] in chromium.execute_script(DRAWN)
    assert not chromium.execute_script(WIDER_THAN_THE_WINDOW)
    assert len(chromium.find_elements("css selector", ".maps canvas")) == 2
    label = "return document.querySelector('.maps canvas').getAttribute('aria-label')"
    assert "update" in chromium.execute_script(label)
    choose(chromium, "map-of-0", "2")
    assert "probe detailed CoT" in chromium.execute_script(label)
    assert [line for line in chromium.get_log("browser") if line["level"] == "SEVERE"] == []
