"""Two points side by side, layer by layer: their curves, and below how far apart they are."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gradsweep.analysis.contrast import Contrast
from gradsweep.analysis.rows import IRRELEVANT
from gradsweep.report.contrast import names, questions_text
from gradsweep.report.figures import style
from gradsweep.report.figures.colours import level_colours
from gradsweep.report.figures.layer_curves import bottom
from gradsweep.report.labels import metric_label, projection_label

_FIRST, _SECOND = "#0072B2", "#D55E00"
"""Where the CoT level does not tell the two points apart."""


def draw_contrast(contrast: Contrast) -> Figure:
    """Draw curves of both points with 95 % bands in the first row, RD by layer in the second.

    A column for each projection; dots mark the layers where RD is largest.
    """
    line = contrast.tests.row(0, named=True)
    projections = contrast.tests["projection"].to_list()
    looks = _looks(line)
    figure, axes = style.panel_grid(2, len(projections), row_inches=style.ROW_INCHES)
    last = int(contrast.curves["layer"].to_numpy().max())
    for column, projection in enumerate(projections):
        above, below = axes[0, column], axes[1, column]
        for key, look in zip(("first_point_id", "second_point_id"), looks, strict=True):
            is_curve = (pl.col("point_id") == line[key]) & (pl.col("projection") == projection)
            _draw_curve(above, contrast.curves.filter(is_curve), look)
        _draw_difference(below, contrast, projection)
        for panel in (above, below):
            style.layer_axis(panel, last)
            style.dress(panel)
    axes[0, 0].set_ylim(bottom=bottom(contrast.curves))
    axes[1, 0].set_ylim(bottom=0)
    style.name_row(axes[0, 0], metric_label(contrast.metric), style.ROW_INCHES)
    style.name_row(axes[1, 0], "RD", style.ROW_INCHES)
    style.name_columns(axes[0], [projection_label(name) for name in projections])
    figure.align_ylabels(axes[:, 0])
    figure.supxlabel("layer", fontsize=style.LABEL_POINTS, color=style.INK)
    called = names(contrast)
    counted = (
        f"{contrast.n_questions} questions" if contrast.is_paired else questions_text(contrast)
    )
    title = f"{called.shared} · {counted}".removeprefix(" · ")
    style.add_legend(figure, title, _handles((called.first, called.second), looks))
    return figure


def _looks(line: dict[str, str]) -> list[dict[str, object]]:
    """Colour and dashes of the two: a level's own where the levels differ."""
    if line["cot"] != line["second_cot"]:
        colours = level_colours([line["cot"], line["second_cot"]])
        pair = [colours[line["cot"]], colours[line["second_cot"]]]
    else:
        pair = [_FIRST, _SECOND]
    dashes = line["correctness"] != line["second_correctness"]
    kinds = [line["correctness"], line["second_correctness"]]
    return [
        {
            "color": colour,
            "linestyle": style.IRRELEVANT_DASHES if dashes and kind == IRRELEVANT else "solid",
            "linewidth": style.LINE_POINTS,
        }
        for colour, kind in zip(pair, kinds, strict=True)
    ]


def _draw_curve(panel: Axes, curve: pl.DataFrame, look: dict[str, object]) -> None:
    layers = curve["layer"].to_numpy()
    # A line through one or two points would not be seen.
    marker = "o" if len(layers) < 8 else None
    panel.plot(layers, curve["mean"].to_numpy(), marker=marker, markersize=3, **look)  # type: ignore[arg-type]
    low, high = curve["ci_low"].to_numpy(), curve["ci_high"].to_numpy()
    panel.fill_between(layers, low, high, color=str(look["color"]), alpha=0.16, linewidth=0)


def _draw_difference(panel: Axes, contrast: Contrast, projection: str) -> None:
    curve = contrast.differences.filter(pl.col("projection") == projection)
    values = curve["relative_difference"].to_numpy()
    panel.plot(curve["layer"].to_numpy(), values, color=style.INK, linewidth=style.LINE_POINTS)
    top = curve.filter(pl.col("layer").is_in(contrast.top_layers(projection)))
    panel.plot(
        top["layer"].to_numpy(),
        top["relative_difference"].to_numpy(),
        color=style.INK,
        linestyle="none",
        marker="o",
        markersize=2.6,
    )


def _handles(sides: tuple[str, str], looks: list[dict[str, object]]) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        Line2D([], [], label=side, **look)  # type: ignore[arg-type]
        for side, look in zip(sides, looks, strict=True)
    ]
    dots = Line2D([], [], color=style.INK, linestyle="none", marker="o", markersize=2.6)
    dots.set_label("largest RD")
    return [*handles, dots]
