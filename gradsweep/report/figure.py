"""Layer curves as small multiples, like the paper's figures (section 4)."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import matplotlib
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gradsweep.analysis import curves
from gradsweep.analysis.conditions import (
    CORRECT,
    IRRELEVANT,
    in_reading_order,
    require_one_point_per_condition,
)
from gradsweep.errors import DataError
from gradsweep.report.labels import level_label, metric_label, projection_label
from gradsweep.store.atomic import write_bytes

_LEVEL_COLOURS = {"none": "#D55E00", "simplified": "#009E73", "detailed": "#0072B2"}
_OTHER_COLOURS = ("#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Okabe and Ito's colours, which colour-blind readers can tell apart; the palest come last."""
_IRRELEVANT_DASHES = (0, (3, 1.2))
_INK = "#222222"
_GRID = "#E3E3E3"
_LINE_POINTS = 1.2
_COLUMN_INCHES = 1.6
_ROW_INCHES = 1.3


@dataclass(frozen=True)
class _PanelRow:
    """A row of panels: what it is called, and the (cot, correctness) curves that it shows."""

    label: str
    conditions: tuple[tuple[str, str], ...]


def layer_curves_figure(rows: pl.DataFrame, metric: str = "nuclear_norm") -> Figure:
    """Curves of one model and dataset: a column for every projection, about 7 inches wide.

    The first row lays the CoT levels over each other, correct responses only; then each level
    has a row with correct (solid) against irrelevant responses (dashed). Bands are 95 %
    bootstrap intervals of the mean over samples. Rows have y axes of their own, because the
    levels can differ by a factor of ten. The first row is left out when fewer than two levels
    have correct responses, a level's row when it would only repeat the first one.

    Raises `DataError` when `rows` is empty or has more than one model and dataset, and
    `ConfigError` for an unknown metric or when two points share all four axes.
    """
    named = rows.select("model", "dataset").unique().sort("model", "dataset")
    if len(named) != 1:
        found = ", ".join(" · ".join(pair) for pair in named.iter_rows()) or "no rows"
        raise DataError(f"rows: a figure shows exactly one model and dataset, got {found}")
    require_one_point_per_condition(rows)
    by_layer = curves(rows, metric)
    return _draw(by_layer, title=" · ".join(named.row(0)), unit=metric_label(metric))


def save_figures(
    rows: pl.DataFrame, folder: str | Path, metric: str = "nuclear_norm"
) -> list[Path]:
    """Writes one figure for every model and dataset: a PNG (200 dpi), then a PDF.

    Files are named model__dataset__metric; an older file of the same name is replaced once the
    new one is complete. The folder is made when it is missing.
    Raises `StoreError` when a file cannot be written, and what `layer_curves_figure` raises.
    """
    written = []
    groups = in_reading_order(rows).group_by("model", "dataset", maintain_order=True)
    for (model, dataset), group in groups:
        figure = layer_curves_figure(group, metric)
        stem = re.sub(r"[^\w.-]+", "-", f"{model}__{dataset}__{metric}")
        for suffix in (".png", ".pdf"):
            path = Path(folder) / f"{stem}{suffix}"
            _save(figure, path)
            written.append(path)
    return written


def _draw(by_layer: pl.DataFrame, title: str, unit: str) -> Figure:
    projections = in_reading_order(by_layer.select("projection").unique())["projection"].to_list()
    panel_rows = _panel_rows(by_layer)
    colours = _level_colours(by_layer["cot"].unique(maintain_order=True).to_list())
    width = max(3.5, 0.75 + _COLUMN_INCHES * len(projections))
    figure = Figure(figsize=(width, 1.0 + _ROW_INCHES * len(panel_rows)), layout="constrained")
    axes = figure.subplots(
        len(panel_rows), len(projections), sharex=True, sharey="row", squeeze=False
    )
    for panel_row, panels in zip(panel_rows, axes, strict=True):
        for projection, panel in zip(projections, panels, strict=True):
            _draw_panel(
                panel, by_layer.filter(pl.col("projection") == projection), panel_row, colours
            )
        # All metrics are positive, and a cut axis would make small differences look large. Only
        # now: a limit set on one panel stops its whole row from growing with the data.
        panels[0].set_ylim(bottom=0)
        panels[0].set_ylabel(panel_row.label, fontsize=8, color=_INK)
    for projection, panel in zip(projections, axes[0], strict=True):
        panel.set_title(projection_label(projection), fontsize=9, fontweight="bold", color=_INK)
    figure.align_ylabels(axes[:, 0])
    figure.supxlabel("layer", fontsize=8, color=_INK)
    figure.supylabel(unit, fontsize=8, color=_INK)
    _add_legend(figure, title, panel_rows, colours)
    return figure


def _panel_rows(by_layer: pl.DataFrame) -> list[_PanelRow]:
    conditions = by_layer.select("cot", "correctness").unique(maintain_order=True).rows()
    correct = tuple(condition for condition in conditions if condition[1] == CORRECT)
    overlay = [_PanelRow("correct,\nall levels", correct)] if len(correct) > 1 else []
    rows = []
    for level in dict.fromkeys(cot for cot, _ in conditions):
        of_level = tuple(condition for condition in conditions if condition[0] == level)
        if not overlay or of_level != ((level, CORRECT),):
            rows.append(_PanelRow(level_label(level), of_level))
    return overlay + rows


def _level_colours(levels: Sequence[str]) -> dict[str, str]:
    """The three levels of the study keep their colours; others take those that are left over."""
    used = [_LEVEL_COLOURS[level] for level in levels if level in _LEVEL_COLOURS]
    free = [c for c in (*_LEVEL_COLOURS.values(), *_OTHER_COLOURS) if c not in used]
    others = [level for level in levels if level not in _LEVEL_COLOURS]
    return _LEVEL_COLOURS | dict(zip(others, cycle(free), strict=False))


def _draw_panel(
    panel: Axes, by_layer: pl.DataFrame, panel_row: _PanelRow, colours: dict[str, str]
) -> None:
    for cot, correctness in panel_row.conditions:
        curve = by_layer.filter(pl.col("cot") == cot, pl.col("correctness") == correctness)
        if len(curve):
            _draw_curve(panel, curve, colours[cot], correctness)
    last = int(by_layer["layer"].to_numpy().max())
    margin = max(0.5, 0.03 * last)
    panel.set_xlim(-margin, last + margin)
    ticks = MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=True).tick_values(0, last)
    panel.set_xticks([int(tick) for tick in ticks if tick == int(tick) and 0 <= tick <= last])
    panel.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    panel.grid(axis="y", color=_GRID, linewidth=0.5)
    panel.set_axisbelow(True)
    panel.tick_params(labelsize=7, width=0.6, length=2.5, color=_INK, labelcolor=_INK)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set(linewidth=0.6, color=_INK)


def _draw_curve(panel: Axes, curve: pl.DataFrame, colour: str, correctness: str) -> None:
    layers = curve["layer"].to_numpy()
    irrelevant = correctness == IRRELEVANT
    colour = _INK if irrelevant else colour
    panel.plot(
        layers,
        curve["mean"].to_numpy(),
        color=colour,
        linestyle=_IRRELEVANT_DASHES if irrelevant else "solid",
        linewidth=_LINE_POINTS,
        # A line through one or two points would not be seen.
        marker="o" if len(layers) < 8 else None,
        markersize=3,
        markerfacecolor="none" if irrelevant else colour,
        label=f"{curve['cot'][0]} {correctness}",
    )
    low, high = curve["ci_low"].to_numpy(), curve["ci_high"].to_numpy()
    panel.fill_between(layers, low, high, color=colour, alpha=0.16, linewidth=0)


def _add_legend(
    figure: Figure, title: str, panel_rows: Sequence[_PanelRow], colours: dict[str, str]
) -> None:
    """One legend above the panels, below the title: the two share a box, so never overlap."""
    conditions = dict.fromkeys(condition for row in panel_rows for condition in row.conditions)
    handles = [
        Line2D(
            [], [], color=colours[cot], linewidth=_LINE_POINTS, label=f"{level_label(cot)}, correct"
        )
        for cot, correctness in conditions
        if correctness == CORRECT
    ]
    if any(correctness == IRRELEVANT for _, correctness in conditions):
        handles.append(
            Line2D(
                [],
                [],
                color=_INK,
                linestyle=_IRRELEVANT_DASHES,
                linewidth=_LINE_POINTS,
                label="irrelevant",
            )
        )
    legend = figure.legend(
        handles=handles,
        loc="outside upper center",
        title=_wrapped(title, figure.get_figwidth()),
        title_fontsize=9,
        ncols=min(len(handles), int(figure.get_figwidth() / 1.75)),
        fontsize=8,
        labelcolor=_INK,
        frameon=False,
    )
    legend.get_title().set(color=_INK, multialignment="center", parse_math=False)


def _wrapped(title: str, width_inches: float) -> str:
    """`title` broken into lines that fit: a letter of nine points is about 0.08 inches wide."""
    return textwrap.fill(title, int(width_inches / 0.08))


def _save(figure: Figure, path: Path) -> None:
    content = io.BytesIO()
    metadata = {"CreationDate": None} if path.suffix == ".pdf" else {}
    # Text stays text in the PDF, and the same figure gives the same bytes.
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(content, format=path.suffix[1:], dpi=200, metadata=metadata)
    write_bytes(path, content.getvalue())
