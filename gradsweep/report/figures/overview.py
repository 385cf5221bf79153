"""All datasets of a model in one grid, as in the paper's figures of a model."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure

from gradsweep.analysis.conditions import in_reading_order, values_in_reading_order
from gradsweep.report.figures import style
from gradsweep.report.figures.layer_curves import bottom, draw_row
from gradsweep.report.labels import metric_label, projection_label


def draw_overview(by_layer: pl.DataFrame, metric: str) -> Figure:
    """Datasets × projections of one model: levels by colour, irrelevant responses dashed.

    `by_layer` is `gradsweep.analysis.curves` of one model. The datasets have y axes of their
    own; a condition that is missing in one of them has no line there.
    """
    datasets = by_layer["dataset"].unique(maintain_order=True).to_list()
    projections = values_in_reading_order(by_layer, "projection")
    conditions = in_reading_order(by_layer.select("cot", "correctness").unique()).rows()
    colours = style.level_colours(values_in_reading_order(by_layer, "cot"))
    figure, axes = style.panel_grid(
        len(datasets), len(projections), row_inches=style.LOW_ROW_INCHES
    )
    for dataset, panels in zip(datasets, axes, strict=True):
        shown = by_layer.filter(pl.col("dataset") == dataset)
        draw_row(panels, shown, projections, colours, bottom=bottom(by_layer))
        style.name_row(panels[0], dataset, style.LOW_ROW_INCHES)
    style.name_columns(axes[0], [projection_label(name) for name in projections])
    figure.align_ylabels(axes[:, 0])
    style.name_axes(figure, "layer", metric_label(metric))
    style.add_legend(figure, by_layer["model"][0], style.line_handles(conditions, colours))
    return figure
