"""Figures of open questions: readable however many lines a panel has."""

from __future__ import annotations

import warnings

import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from gradsweep.analysis.open_questions.question import PLOT_SCHEMA, Plot
from gradsweep.report.figures.open_questions import draw_plot
from gradsweep.report.figures.style import encoded_png

TITLE = "What detects wrong reasoning, and does a gradient tell more than the loss?"


def plot(n_lines: int, n_columns: int) -> Plot:
    lines = [
        {"panel": f"model · data, {column}", "line": f"a signal of some length, number {number}",
         "x": x, "value": 1.0 + number, "low": 0.5 + number, "high": 1.5 + number, "joined": True}
        for column in "abcdefg"[:n_columns]
        for number in range(n_lines)
        for x in (0.0, 1.0)
    ]  # fmt: skip
    return Plot("accuracy", "share of questions", "CoT level", pl.DataFrame(lines, PLOT_SCHEMA))


@pytest.mark.parametrize("n_columns", [1, 2, 7])
@pytest.mark.parametrize("n_lines", [1, 5, 9])
def test_title_and_legend_leave_panels_their_height(n_lines: int, n_columns: int) -> None:
    shown = plot(n_lines, n_columns)
    figure = draw_plot(shown, shown.lines, TITLE)
    assert figure is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout that cannot be made is a warning
        encoded_png(figure)
    FigureCanvasAgg(figure).draw()
    (legend,) = figure.legends
    bottom = legend.get_window_extent().y0
    for panel in figure.axes:
        assert panel.get_tightbbox().y1 <= bottom, "panel names lie below the legend"
        assert panel.get_window_extent().height / figure.dpi > 0.7
