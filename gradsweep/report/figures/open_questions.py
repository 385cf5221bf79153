"""Plots of open questions as figures: a row for each model, a column for each quantity."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from gradsweep.analysis.open_questions import Answered, Plot
from gradsweep.report.figures import style
from gradsweep.report.figures.colours import PALETTE
from gradsweep.report.figures.files import Drawing
from gradsweep.report.figures.scales import plain_numbers

_ROW_INCHES = 1.7
_LEGEND_LETTERS = 22
"""Of a line of the legend; several entries stand side by side."""
_TICKS_SIDE_BY_SIDE = 6
"""Words of more ticks would run into each other: they are slanted."""
MOST_ROWS = 6
"""Of a figure; more would not fit a page, and the tables have all."""


def question_drawings(answered: Sequence[Answered]) -> list[Drawing]:
    """List the figures of open questions, named open_questions__question__plot."""
    return [
        Drawing(
            ("open_questions", one.question.key, plot.name),
            partial(draw_plot, plot),
            plot.lines,
            one.question.title,
        )
        for one in answered
        for plot in one.plots
    ]


def draw_plot(plot: Plot, lines: pl.DataFrame, title: str) -> Figure | None:
    """Draw the panels of a plot; None without any point.

    Panels are named `row, column`; rows share a y axis.
    """
    if lines.is_empty():
        return None
    places = [panel.rpartition(", ") for panel in lines["panel"].unique(maintain_order=True)]
    rows = list(dict.fromkeys(row for row, _, _ in places))[:MOST_ROWS]
    columns = list(dict.fromkeys(column for *_, column in places))
    names = lines["line"].unique(maintain_order=True).to_list()
    colours = {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(names)}
    figure, axes = style.panel_grid(len(rows), len(columns), row_inches=_ROW_INCHES)
    for row, panels in zip(rows, axes, strict=True):
        for column, panel in zip(columns, panels, strict=True):
            _draw_panel(panel, lines.filter(panel=f"{row}, {column}"), colours)
            _scale(panel, plot)
        style.name_row(panels[0], row, _ROW_INCHES)
    style.name_columns(axes[0], columns)
    figure.supxlabel(plot.x, fontsize=style.LABEL_POINTS, color=style.INK)
    handles = [
        Line2D([], [], color=colours[name], marker="o", markersize=3, linewidth=1, label=wrapped)
        for name, wrapped in ((name, textwrap.fill(name, _LEGEND_LETTERS)) for name in names)
    ]
    style.add_legend(figure, f"{title} ({plot.title})", handles)
    return figure


def _draw_panel(panel: Axes, lines: pl.DataFrame, colours: dict[str, str]) -> None:
    for (name,), line in lines.sort("x").group_by("line", maintain_order=True):
        joined = line["joined"].all()
        value = line["value"].to_numpy()
        ends = [(value - line["low"].to_numpy()).clip(0), (line["high"].to_numpy() - value).clip(0)]
        panel.errorbar(
            line["x"].to_numpy(), value, ends, color=colours[str(name)], marker="o", markersize=3,
            linestyle="solid" if joined else "none", linewidth=style.LINE_POINTS, elinewidth=0.7,
        )  # fmt: skip
    style.dress(panel)


def _scale(panel: Axes, plot: Plot) -> None:
    if plot.x_by_factors:
        panel.set_xscale("log")
        plain_numbers(panel.xaxis)
    if plot.y_by_factors:
        panel.set_yscale("log")
        plain_numbers(panel.yaxis)
    if plot.ticks:
        places, words = zip(*plot.ticks, strict=True)
        panel.xaxis.set_major_locator(FixedLocator(list(places)))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_xticks(list(places), list(words))
        if len(words) > _TICKS_SIDE_BY_SIDE and any(len(word) > 4 for word in words):
            panel.tick_params(axis="x", labelrotation=35)
