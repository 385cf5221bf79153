"""RD between correct and irrelevant responses, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gradsweep.analysis.rows import values_in_reading_order
from gradsweep.report.figures import style
from gradsweep.report.figures.colours import level_colours
from gradsweep.report.figures.layer_curves import draw_row
from gradsweep.report.figures.level_groups import level_groups
from gradsweep.report.labels import (
    dataset_title,
    figure_title,
    level_label,
    metric_words,
    model_of,
    projection_label,
)

TOP = 5
"""Layers marked in each curve, as many as the paper names."""


def draw_relative_differences(
    differences: pl.DataFrame, metric: str, *, title: str | None = None
) -> Figure | None:
    """Draw RD_i of one model by layer: a row of panels for each dataset and group of levels.

    `differences` is `gradsweep.analysis.relative_difference` of one model. Dots mark the five
    layers where RD is largest; bands are intervals, where there are the columns rd_low and rd_high
    (`difference_intervals`). None when no level of any dataset has a value.
    """
    defined = differences.filter(pl.col("relative_difference").is_finite())
    if defined.is_empty():
        return None
    with_values = defined.select("dataset", "cot").unique()
    differences = differences.join(
        with_values, on=("dataset", "cot"), how="semi", maintain_order="left"
    )
    datasets = differences["dataset"].unique(maintain_order=True).to_list()
    projections = values_in_reading_order(defined, "projection")
    levels = values_in_reading_order(with_values, "cot")
    colours = level_colours(levels)
    rows = list(_rows(differences, datasets, levels))
    row_inches = style.ROW_INCHES if len(datasets) == 1 else style.LOW_ROW_INCHES
    figure, axes = style.panel_grid(len(rows), len(projections), row_inches=row_inches)
    for (name, of_row), panels in zip(rows, axes, strict=True):
        draw_row(panels, of_row, projections, colours, bottom=0.0, draw=_draw)
        if name:
            style.name_row(panels[0], name, row_inches)
    style.name_columns(axes[0], [projection_label(name) for name in projections])
    figure.align_ylabels(axes[:, 0])
    style.name_axes(figure, "layer", f"RD of the {metric_words(metric)}")
    if title is None:
        shown = figure_title(differences) if len(datasets) == 1 else model_of(differences)
        title = f"{shown} · correct vs irrelevant"
    style.add_legend(figure, title, _handles(levels, colours))
    return figure


def _rows(
    differences: pl.DataFrame, datasets: Sequence[str], levels: Sequence[str]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Name and lines of each row; the name says what tells it from the others."""
    groups = level_groups(levels)
    for dataset in datasets:
        for words, of_group in groups.items():
            of_row = differences.filter(pl.col("dataset") == dataset, pl.col("cot").is_in(of_group))
            if len(of_row):
                told = [dataset_title(dataset)] if len(datasets) > 1 else []
                yield ",\n".join([*told, *([words] if words else [])]), of_row


def _draw(panel: Axes, curve: pl.DataFrame, colour: str) -> None:
    values = curve["relative_difference"].to_numpy()
    panel.plot(
        curve["layer"].to_numpy(),
        values,
        color=colour,
        linewidth=style.LINE_POINTS,
        label=curve["cot"][0],
    )
    if "rd_low" in curve.columns:
        ends = curve["rd_low"].to_numpy(), curve["rd_high"].to_numpy()
        panel.fill_between(curve["layer"].to_numpy(), *ends, color=colour, alpha=0.14, linewidth=0)
    defined = curve.filter(pl.col("relative_difference").is_finite())
    # Among equals the earlier layers, as in the tables.
    top = defined.sort("relative_difference", descending=True, maintain_order=True).head(TOP)
    panel.plot(
        top["layer"].to_numpy(),
        top["relative_difference"].to_numpy(),
        color=colour,
        linestyle="none",
        marker="o",
        markersize=2.6,
    )


def _handles(levels: list[str], colours: dict[str, str]) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colours[cot], linewidth=style.LINE_POINTS, label=level_label(cot))
        for cot in levels
    ]
    dots = Line2D([], [], color=style.INK, linestyle="none", marker="o", markersize=2.6)
    dots.set_label(f"{TOP} largest")
    return [*handles, dots]
