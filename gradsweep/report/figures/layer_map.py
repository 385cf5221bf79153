"""Cosines between the gradients of every two layers: a map of layers by layers."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gradsweep.analysis.rows import IRRELEVANT, values_in_reading_order
from gradsweep.report.figures import style
from gradsweep.report.labels import figure_title, level_label, projection_label

MOST_ROWS = 8
"""Levels of one figure; the table has all."""
_COLOURS = "PuOr"
"""Orange below zero, purple above it, and white for none; told apart by the colour-blind."""


def draw_layer_map(found: pl.DataFrame, metric: str) -> Figure | None:
    """Draw layers by layers, a column for each projection, a row for each level of CoT.

    Above the diagonal are correct responses, or those of pairs and groups, below it irrelevant
    ones where there are any; without them the map is symmetric. A colour is a mean over samples.

    Args:
        found: `gradsweep.analysis.layer_cosines.layer_cosines` of one model and dataset.
        metric: the name of the column, for `Drawing`.

    Returns:
        None where nothing was measured.
    """
    if found.is_empty():
        return None
    projections = values_in_reading_order(found, "projection")
    levels = values_in_reading_order(found, "cot")[:MOST_ROWS]
    figure, axes = style.panel_grid(len(levels), len(projections), row_inches=style.ROW_INCHES)
    largest = float(found["cosine"].abs().to_numpy().max()) or 1.0
    norm = Normalize(-largest, largest)
    n_layers = int(found["other_layer"].to_numpy().max()) + 1
    for level, panels in zip(levels, axes, strict=True):
        for name, panel in zip(projections, panels, strict=True):
            _draw_map(panel, found.filter(cot=level, projection=name), n_layers, norm)
        style.name_row(panels[0], level_label(level), style.ROW_INCHES)
    style.name_columns(axes[0], [projection_label(name) for name in projections])
    style.name_axes(figure, "layer", "layer")
    bar = figure.colorbar(
        ScalarMappable(norm, _COLOURS), ax=axes.ravel().tolist(), pad=0.02, aspect=30
    )
    bar.set_label(metric.replace("_", " "), fontsize=style.LABEL_POINTS, color=style.INK)
    bar.ax.tick_params(labelsize=style.TICK_POINTS, width=0.6, length=2.5)
    told = " · below the diagonal: irrelevant" if IRRELEVANT in found["correctness"] else ""
    style.add_legend(figure, f"{figure_title(found)}{told}", [])
    return figure


def _draw_map(panel: Axes, pairs: pl.DataFrame, n_layers: int, norm: Normalize) -> None:
    values = np.full((n_layers, n_layers), np.nan)
    irrelevant = (pairs["correctness"] == IRRELEVANT).to_numpy()
    low, high, cosines = (pairs[name].to_numpy() for name in ("layer", "other_layer", "cosine"))
    main = ~irrelevant if not irrelevant.all() else irrelevant
    below = irrelevant if irrelevant.any() else main
    values[high[main], low[main]] = cosines[main]
    values[low[below], high[below]] = cosines[below]
    panel.pcolormesh(values, norm=norm, cmap=_COLOURS, rasterized=True)
    panel.set_facecolor("#EEEEEE")
    shown = MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=True).tick_values(0, n_layers - 1)
    numbers = [int(place) for place in shown if 0 <= place < n_layers and place == int(place)]
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_ticks([number + 0.5 for number in numbers], [str(n) for n in numbers])
    panel.set_xlim(0, n_layers)
    panel.set_ylim(0, n_layers)
    panel.tick_params(labelsize=style.TICK_POINTS, width=0.6, length=2.5)
