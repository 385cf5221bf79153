"""Layer curves as small multiples, like the paper's figures (section 4), of one dataset or all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gradsweep.analysis import conditions, curves
from gradsweep.analysis.rows import (
    IRRELEVANT,
    in_reading_order,
    main_responses,
    values_in_reading_order,
    with_every_axis,
)
from gradsweep.errors import DataError
from gradsweep.report.figures import style
from gradsweep.report.figures.colours import darker, level_colours
from gradsweep.report.figures.level_groups import level_groups
from gradsweep.report.labels import (
    dataset_title,
    figure_title,
    level_label,
    metric_label,
    model_of,
    projection_label,
)
from gradsweep.store.series import model_label, with_model_labels

_GROUP = ("model", "dataset")


@dataclass(frozen=True)
class _PanelRow:
    """A row of panels: what it is called, and the (cot, correctness) curves that it shows."""

    label: str
    conditions: tuple[tuple[str, str], ...]


def layer_curves_figure(
    rows: pl.DataFrame, metric: str = "nuclear_norm", *, title: str | None = None
) -> Figure:
    """Draw curves of one model and dataset: a column for every projection, four in 6.9 inches.

    The first row lays the CoT levels over each other, correct responses only (more than a few in a
    row for each group of them: `level_groups`); then each level
    has a row with correct (solid) against irrelevant responses (dashed, darker). Bands are 95 %
    bootstrap intervals of the mean over samples. Rows have y axes of their own, because the
    levels can differ by a factor of ten. The first row is left out when fewer than two levels
    have correct responses, a level's row when it would only repeat the first one. `title` is by
    default the names of model and dataset as their makers write them.

    Raises:
        DataError: `rows` is empty or has more than one model and dataset.
        ConfigError: an unknown metric.
    """
    rows = with_every_axis(rows)
    shown = with_model_labels(rows.select(*_GROUP, "objective", "series").unique()).sort(_GROUP)
    if len(shown) != 1:
        pairs = shown.select(_GROUP).iter_rows()
        names = ", ".join(" · ".join(pair) for pair in pairs) or "no rows"
        raise DataError(f"rows: a figure shows exactly one model and dataset, got {names}")
    return draw_layer_curves(curves(conditions(rows), metric), metric, title=title)


def save_figures(
    rows: pl.DataFrame, folder: str | Path, metric: str = "nuclear_norm"
) -> list[Path]:
    """Write one figure of layer curves for every model and dataset: a PNG, then a PDF.

    Files are named model__dataset__metric.

    Raises:
        StoreError: a file cannot be written; and what `layer_curves_figure` raises.
    """
    written = []
    labels = ("model", "series", "objective", "dataset")
    groups = in_reading_order(with_every_axis(rows)).group_by(labels, maintain_order=True)
    for (model, series, objective, dataset), group in groups:
        figure = layer_curves_figure(group, metric)
        label = model_label(str(model), str(series), str(objective))
        written += style.save(figure, Path(folder), label, str(dataset), metric)
    return written


def draw_layer_curves(by_layer: pl.DataFrame, metric: str, *, title: str | None = None) -> Figure:
    """Draw one model and dataset from its `gradsweep.analysis.curves`."""
    projections = values_in_reading_order(by_layer, "projection")
    panel_rows = _panel_rows(by_layer)
    colours = level_colours(values_in_reading_order(by_layer, "cot"))
    figure, axes = style.panel_grid(len(panel_rows), len(projections), row_inches=style.ROW_INCHES)
    for panel_row, panels in zip(panel_rows, axes, strict=True):
        shown = by_layer.filter(_is_among(panel_row.conditions))
        # A cut axis would make small differences look large.
        draw_row(panels, shown, projections, colours, bottom=bottom(by_layer))
        style.name_row(panels[0], panel_row.label, style.ROW_INCHES)
    style.name_columns(axes[0], [projection_label(name) for name in projections])
    figure.align_ylabels(axes[:, 0])
    style.name_axes(figure, "layer", metric_label(metric))
    conditions = [condition for row in panel_rows for condition in row.conditions]
    title = figure_title(by_layer) if title is None else title
    style.add_legend(figure, title, style.line_handles(conditions, colours))
    return figure


def draw_overview(by_layer: pl.DataFrame, metric: str, *, title: str | None = None) -> Figure:
    """Draw datasets × projections of one model: levels by colour, irrelevant responses dashed.

    `by_layer` is `gradsweep.analysis.curves` of one model. The datasets have y axes of their
    own; a condition that is missing in one of them has no line there. Of more than a few levels
    the first group is drawn (`level_groups`).
    """
    first = next(iter(level_groups(values_in_reading_order(by_layer, "cot")).values()))
    by_layer = by_layer.filter(pl.col("cot").is_in(first))
    datasets = by_layer["dataset"].unique(maintain_order=True).to_list()
    projections = values_in_reading_order(by_layer, "projection")
    conditions = in_reading_order(by_layer.select("cot", "correctness").unique()).rows()
    colours = level_colours(values_in_reading_order(by_layer, "cot"))
    figure, axes = style.panel_grid(
        len(datasets), len(projections), row_inches=style.LOW_ROW_INCHES
    )
    for dataset, panels in zip(datasets, axes, strict=True):
        shown = by_layer.filter(pl.col("dataset") == dataset)
        draw_row(panels, shown, projections, colours, bottom=bottom(by_layer))
        style.name_row(panels[0], dataset_title(dataset), style.LOW_ROW_INCHES)
    style.name_columns(axes[0], [projection_label(name) for name in projections])
    figure.align_ylabels(axes[:, 0])
    style.name_axes(figure, "layer", metric_label(metric))
    title = model_of(by_layer) if title is None else title
    style.add_legend(figure, title, style.line_handles(conditions, colours))
    return figure


def bottom(by_layer: pl.DataFrame) -> float | None:
    """Choose where y axes begin: at zero; at None, below the lowest value, if some are negative."""
    negative = any((by_layer[name] < 0).any() for name in ("mean", "ci_low"))
    return None if negative else 0.0


def draw_row(
    panels: Sequence[Axes],
    by_layer: pl.DataFrame,
    projections: Sequence[str],
    colours: Mapping[str, str],
    *,
    bottom: float | None,
    draw: Callable[[Axes, pl.DataFrame, str], None] | None = None,
) -> None:
    """Draw one row of panels, a projection each, with every condition of `by_layer`."""
    last = int(by_layer["layer"].to_numpy().max())
    for projection, panel in zip(projections, panels, strict=True):
        of_panel = by_layer.filter(pl.col("projection") == projection)
        for (cot, *_), curve in of_panel.group_by(*_curve_keys(by_layer), maintain_order=True):
            (draw or draw_curve)(panel, curve, colours[cot])
        style.layer_axis(panel, last)
        style.dress(panel)
    # Only now: a limit set on one panel stops its whole row from growing with the data.
    panels[0].set_ylim(bottom=bottom)


def draw_curve(panel: Axes, curve: pl.DataFrame, colour: str) -> None:
    """Draw the mean of one condition with its band; a layer without a value leaves a gap."""
    layers = curve["layer"].to_numpy()
    irrelevant = curve["correctness"][0] == IRRELEVANT
    colour = darker(colour) if irrelevant else colour
    panel.plot(
        layers,
        curve["mean"].to_numpy(),
        color=colour,
        linestyle=style.IRRELEVANT_DASHES if irrelevant else "solid",
        # Thinner, because it is darker and drawn over the other.
        linewidth=(0.85 if irrelevant else 1) * style.LINE_POINTS,
        # A line through one or two points would not be seen.
        marker="o" if len(layers) < 8 else None,
        markersize=3,
        markerfacecolor="none" if irrelevant else colour,
        label=f"{curve['cot'][0]} {curve['correctness'][0]}",
    )
    low, high = curve["ci_low"].to_numpy(), curve["ci_high"].to_numpy()
    panel.fill_between(layers, low, high, color=colour, alpha=0.16, linewidth=0)


def _curve_keys(by_layer: pl.DataFrame) -> list[str]:
    return [name for name in ("cot", "correctness") if name in by_layer.columns]


def _is_among(conditions: Sequence[tuple[str, str]]) -> pl.Expr:
    return pl.any_horizontal(
        (pl.col("cot") == cot) & (pl.col("correctness") == correctness)
        for cot, correctness in conditions
    )


def _panel_rows(by_layer: pl.DataFrame) -> list[_PanelRow]:
    conditions = by_layer.select("cot", "correctness").unique(maintain_order=True).rows()
    main = main_responses([correctness for _, correctness in conditions])
    of_main = tuple(condition for condition in conditions if condition[1] == main)
    overlay = list(_overlays(main, of_main)) if len(of_main) > 1 else []
    rows = []
    for level in dict.fromkeys(cot for cot, _ in conditions):
        of_level = tuple(condition for condition in conditions if condition[0] == level)
        if not overlay or of_level != ((level, main),):
            rows.append(_PanelRow(level_label(level), of_level))
    return overlay + rows


def _overlays(main: str, of_main: Sequence[tuple[str, str]]) -> Iterator[_PanelRow]:
    """Rows that lay levels over each other."""
    for words, levels in level_groups([cot for cot, _ in of_main]).items():
        shown = tuple(condition for condition in of_main if condition[0] in levels)
        yield _PanelRow(f"{main},\n{words or 'all levels'}", shown)
