"""MAD as bars: how uneven gradients are, in all layers and in each part of the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from gradsweep.analysis.layers import PARTS
from gradsweep.analysis.rows import IRRELEVANT, main_responses, values_in_reading_order
from gradsweep.report.figures import style
from gradsweep.report.figures.colours import darker, level_colours
from gradsweep.report.figures.level_groups import level_groups
from gradsweep.report.labels import figure_title, level_label, metric_words, projection_label

_GROUP = 0.8
"""Width of a projection's bars together; the rest of 1 is the gap to the next."""


def draw_mad_bars(mads: pl.DataFrame, metric: str, *, title: str | None = None) -> Figure | None:
    """Draw a panel each for all, early, middle and late layers; bars by projection and condition,
    a row for each group of levels.

    `mads` is `gradsweep.analysis.mean_absolute_difference` of one model and dataset. Correct
    responses are filled, irrelevant ones outlined. Whiskers are intervals, where `mads` has the
    columns mad_low and mad_high (`part_intervals`). A part too small to have a MAD is left out;
    None when all are.
    """
    defined = mads.filter(pl.col("mad").is_finite())
    parts = [part for part in ("all", *PARTS) if part in defined["part"]]
    if not parts:
        return None
    projections = values_in_reading_order(mads, "projection")
    conditions = mads.select("cot", "correctness").unique(maintain_order=True).rows()
    levels = values_in_reading_order(mads, "cot")
    colours, groups = level_colours(levels), level_groups(levels)
    figure, axes = style.panel_grid(len(groups), len(parts), row_inches=style.ROW_INCHES)
    for (words, of_group), panels in zip(groups.items(), axes, strict=True):
        shown = [condition for condition in conditions if condition[0] in of_group]
        for part, panel in zip(parts, panels, strict=True):
            of_part = defined.filter(pl.col("part") == part)
            _draw_part(panel, of_part, projections, shown, colours)
        panels[0].set_ylim(bottom=0)
        if words:
            style.name_row(panels[0], words, style.ROW_INCHES)
    style.name_columns(axes[0], [f"{part} layers" for part in parts])
    style.name_axes(figure, "projection", f"MAD of the {metric_words(metric)}")
    title = figure_title(mads) if title is None else title
    style.add_legend(figure, title, _handles(conditions, colours))
    return figure


def _draw_part(
    panel: Axes,
    mads: pl.DataFrame,
    projections: list[str],
    conditions: list[tuple[str, str]],
    colours: dict[str, str],
) -> None:
    width = _GROUP / len(conditions)
    for index, (cot, correctness) in enumerate(conditions):
        bars = mads.filter(pl.col("cot") == cot, pl.col("correctness") == correctness)
        heights = dict(bars.select("projection", "mad").iter_rows())
        # A projection that was not measured in this condition leaves its place empty.
        places = [place for place, name in enumerate(projections) if name in heights]
        middles = np.array(places) - _GROUP / 2 + (index + 0.5) * width
        panel.bar(
            middles,
            [heights[projections[place]] for place in places],
            width=0.86 * width,
            label=f"{cot} {correctness}",
            **_look(colours[cot], correctness),
        )
        _draw_whiskers(panel, bars, [projections[place] for place in places], middles)
    panel.set_xlim(-0.6, len(projections) - 0.4)
    style.dress(panel)
    panel.set_xticks(range(len(projections)), [projection_label(name) for name in projections])
    panel.tick_params(axis="x", length=0)


def _draw_whiskers(
    panel: Axes, bars: pl.DataFrame, projections: list[str], middles: NDArray[np.float64]
) -> None:
    if "mad_low" not in bars.columns:
        return
    ends = {name: (low, high) for name, low, high in bars.select(
        "projection", "mad_low", "mad_high").iter_rows()}  # fmt: skip
    low, high = np.array([ends[name] for name in projections], dtype=float).reshape(-1, 2).T
    panel.vlines(middles, low, high, color=style.INK, linewidth=0.7)


def _look(colour: str, correctness: str) -> dict[str, Any]:
    """Outlines lie inside a bar's width, so that both kinds look equally wide."""
    filled = correctness != IRRELEVANT
    return {
        "facecolor": colour if filled else "white",
        "edgecolor": colour if filled else darker(colour),
        "linewidth": 0.0 if filled else 0.6,
    }


def _handles(conditions: list[tuple[str, str]], colours: dict[str, str]) -> list[Patch]:
    main = main_responses([correctness for _, correctness in conditions])
    levels = dict.fromkeys(cot for cot, correctness in conditions if correctness == main)
    handles = [Patch(label=f"{level_label(cot)}, {main}", color=colours[cot]) for cot in levels]
    if any(correctness == IRRELEVANT for _, correctness in conditions):
        handles.append(Patch(label="irrelevant", **_look(style.INK, IRRELEVANT)))
    return handles
