"""How strongly each attention head responds to irrelevant responses: a map of layers by heads."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gradsweep.analysis.heads import RATE
from gradsweep.analysis.rows import values_in_reading_order
from gradsweep.report.figures import style
from gradsweep.report.labels import figure_title, level_phrase, metric_words, projection_label

_MAP_INCHES = 2.1
"""Height of the panels: some thirty layers are told apart."""
_COLOURS = "PuOr"
"""Orange below zero, purple above it, and white for no effect; told apart by the colour-blind."""


def draw_head_map(found: pl.DataFrame, metric: str) -> Figure | None:
    """Draw layers by heads, a panel for each projection, coloured by Cohen's d_z.

    Dots mark the heads that respond at a false discovery rate of 5 %.

    Args:
        found: `gradsweep.analysis.heads.head_sensitivity` of one model, dataset and level.
        metric: the name of what was compared.

    Returns:
        None where no head has a value.
    """
    defined = found.filter(pl.col("cohen_dz").is_finite())
    if defined.is_empty():
        return None
    projections = values_in_reading_order(defined, "projection")
    figure, axes = style.panel_grid(1, len(projections), row_inches=_MAP_INCHES)
    largest = float(defined["cohen_dz"].abs().to_numpy().max())
    norm = Normalize(-largest, largest)
    n_layers = int(defined["layer"].to_numpy().max()) + 1
    for name, panel in zip(projections, axes[0], strict=True):
        _draw_map(panel, defined.filter(pl.col("projection") == name), n_layers, norm)
    style.name_columns(axes[0], [projection_label(name) for name in projections])
    style.name_axes(figure, "head", "layer")
    bar = figure.colorbar(ScalarMappable(norm, _COLOURS), ax=axes[0].tolist(), pad=0.02, aspect=30)
    bar.set_label(
        f"irrelevant − correct, {metric_words(metric)} ($d_z$)",
        fontsize=style.LABEL_POINTS,
        color=style.INK,
    )
    bar.ax.tick_params(labelsize=style.TICK_POINTS, width=0.6, length=2.5)
    dots = Line2D([], [], color=style.INK, linestyle="none", marker="o", markersize=2)
    dots.set_label(f"false discovery rate {100 * RATE:g} %")
    title = f"{figure_title(defined)} · heads, {level_phrase(defined['cot'][0])}"
    style.add_legend(figure, title, [dots])
    return figure


def _draw_map(panel: Axes, heads: pl.DataFrame, n_layers: int, norm: Normalize) -> None:
    layers, places = heads["layer"].to_numpy(), heads["head"].to_numpy()
    values = np.full((n_layers, int(places.max()) + 1), np.nan)
    values[layers, places] = heads["cohen_dz"].to_numpy()
    panel.pcolormesh(values, norm=norm, cmap=_COLOURS, rasterized=True)
    panel.set_facecolor("#EEEEEE")
    responding = heads.filter(pl.col("p_adjusted") <= RATE)
    panel.plot(
        responding["head"].to_numpy() + 0.5,
        responding["layer"].to_numpy() + 0.5,
        color=style.INK,
        linestyle="none",
        marker="o",
        markersize=1.2,
    )
    for axis, count in ((panel.xaxis, values.shape[1]), (panel.yaxis, n_layers)):
        shown = MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=True).tick_values(0, count - 1)
        numbers = [int(place) for place in shown if 0 <= place < count and place == int(place)]
        axis.set_ticks([number + 0.5 for number in numbers], [str(n) for n in numbers])
    panel.set_xlim(0, values.shape[1])
    panel.tick_params(labelsize=style.TICK_POINTS, width=0.6, length=2.5)
