"""Training points by step: norms, gap and losses as curves, layers by steps as a map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from gradsweep.analysis.rows import IRRELEVANT, values_in_reading_order
from gradsweep.report.figures import style
from gradsweep.report.figures.colours import darker, level_colours
from gradsweep.report.figures.files import Drawing
from gradsweep.report.figures.scales import plain_numbers
from gradsweep.report.labels import level_label, metric_label, projection_label
from gradsweep.report.training.study import (
    GAP,
    HELD_OUT,
    LOSS,
    PROBE,
    UPDATE,
    Run,
    TrainingStudy,
    group_title,
)
from gradsweep.report.training.tables import probe_name

_TEN_FOLD = 10.0
"""Values that differ by so much are drawn on a logarithmic scale."""
_MOST_STEPS = 60
"""Columns of a map; of more steps, evenly chosen ones."""
_ROWS: dict[str, tuple[str, ...]] = {
    UPDATE: (UPDATE,),
    PROBE: (PROBE,),
    GAP: (GAP,),
    LOSS: (LOSS, HELD_OUT),
}
"""Rows of panels -> the quantities in them."""


def training_drawings(study: TrainingStudy) -> list[Drawing]:
    """List the figures: for every model and dataset its curves, for every run a map.

    They are named model__dataset__training__metric, and model__dataset__condition__map__metric.
    """
    figures = []
    names: tuple[str, ...]
    for group, runs in study.groups.items():
        names = (*group, "training", study.metric)
        figures.append(Drawing(names, draw_training, _curves(study, runs), study.metric))
        for run in runs:
            frame = _map(study, run)
            if not frame.is_empty():
                told = [f"cot={run.cot}", run.correctness, *run.seeds.split()]
                names = (*group, "-".join(told), "map", study.metric)
                figures.append(Drawing(names, draw_training_map, frame, study.metric))
    return figures


def _curves(study: TrainingStudy, runs: list[Run]) -> pl.DataFrame:
    """Lines of `TrainingStudy.by_step` with the run's condition, level and the figure's title."""
    named = pl.DataFrame(
        [(run.point_id, run.condition, run.cot, group_title(run.group)) for run in runs],
        schema=dict.fromkeys(("point_id", "condition", "cot", "title"), pl.String()),
        orient="row",
    )
    return named.join(study.by_step, on="point_id", how="inner", maintain_order="left")


def _map(study: TrainingStudy, run: Run) -> pl.DataFrame:
    """Lines of `TrainingStudy.layers` of one run, with the row of panels and the figure's title."""
    of_run = study.layers.filter(point_id=run.point_id)
    rows = [
        "update" if source == UPDATE else probe_name(cot, kind)
        for source, cot, kind in of_run.select(
            "source", "probe_cot", "probe_correctness"
        ).iter_rows()
    ]
    return of_run.with_columns(
        pl.Series("row", rows, pl.String()),
        pl.lit(f"{group_title(run.group)} · learns from {run.words}").alias("title"),
    )


def draw_training(by_step: pl.DataFrame, metric: str) -> Figure | None:
    """Draw a column for each condition that is learnt from, with a row for each quantity.

    Rows: the metric of the update and of the probes, the ratio of probes without and with CoT, the
    loss (line) and the held-out loss (dots). Bands are 95 % intervals; runs of several seeds lie
    over each other. None without any line.

    Args:
        by_step: of one model and dataset (`training_drawings`).
        metric: the name of what the first rows show.
    """
    conditions = by_step["condition"].unique(maintain_order=True).to_list()
    rows = [name for name, kinds in _ROWS.items() if by_step["quantity"].is_in(kinds).any()]
    if not rows or not conditions:
        return None
    levels = {*by_step["cot"], *by_step["probe_cot"].drop_nulls()}
    colours = level_colours(sorted(levels))
    figure, axes = style.panel_grid(len(rows), len(conditions), row_inches=style.ROW_INCHES)
    for name, panels in zip(rows, axes, strict=True):
        of_row = by_step.filter(pl.col("quantity").is_in(_ROWS[name]))
        for condition, panel in zip(conditions, panels, strict=True):
            _draw_panel(panel, of_row.filter(condition=condition), colours)
        _scale(panels.tolist(), of_row, from_zero=name != GAP)
        style.name_row(panels[0], _row_label(name, metric), style.ROW_INCHES)
    style.name_columns(axes[0], [f"learns from\n{name}" for name in conditions])
    figure.align_ylabels(axes[:, 0])
    figure.supxlabel("optimizer steps", fontsize=style.LABEL_POINTS, color=style.INK)
    style.add_legend(figure, by_step["title"][0], _handles(by_step, colours))
    return figure


def draw_training_map(layers: pl.DataFrame, metric: str) -> Figure:
    """Draw layers by steps of one run: a column for each projection, a row for update and probes.

    Darker is larger, on one logarithmic scale for each row; steps are those that were measured.
    """
    rows = layers["row"].unique(maintain_order=True).to_list()
    projections = values_in_reading_order(layers, "projection")
    figure, axes = style.panel_grid(len(rows), len(projections), row_inches=style.ROW_INCHES)
    for name, panels in zip(rows, axes, strict=True):
        of_row = layers.filter(row=name)
        norm = _norm(of_row["value"].to_numpy())
        for projection, panel in zip(projections, panels, strict=True):
            _draw_map(panel, of_row.filter(projection=projection), norm)
        style.name_row(panels[0], f"layer\n{name}", style.ROW_INCHES)
        bar = figure.colorbar(ScalarMappable(norm, "Blues"), ax=panels.tolist(), pad=0.01)
        bar.ax.tick_params(labelsize=style.TICK_POINTS, which="both")
        bar.outline.set_visible(False)
        if isinstance(norm, LogNorm):
            plain_numbers(bar.ax.yaxis)
    style.name_columns(axes[0], [projection_label(name) for name in projections])
    figure.supxlabel("optimizer steps", fontsize=style.LABEL_POINTS, color=style.INK)
    style.add_legend(figure, f"{layers['title'][0]} · {metric_label(metric)}", [])
    return figure


def _draw_panel(panel: Axes, lines: pl.DataFrame, colours: dict[str, str]) -> None:
    keys = ["point_id", "quantity", "probe_cot", "probe_correctness"]
    for (_, quantity, level, kind), line in lines.group_by(keys, maintain_order=True):
        # A ratio of two levels is of neither.
        own = style.INK if quantity == GAP else colours[line["cot"][0]]
        colour = colours[str(level)] if quantity == PROBE else own
        colour = darker(colour) if kind == IRRELEVANT else colour
        line = line.filter(pl.col("value").is_finite()).sort("step")
        steps = line["step"].to_numpy()
        few = quantity in (PROBE, GAP, HELD_OUT) and len(steps) < 30
        panel.plot(
            steps,
            line["value"].to_numpy(),
            color=colour,
            linestyle="none" if quantity == HELD_OUT else
            style.IRRELEVANT_DASHES if kind == IRRELEVANT else "solid",
            linewidth=style.LINE_POINTS,
            marker="o" if few or quantity == HELD_OUT or len(steps) < 8 else None,
            markersize=3,
        )  # fmt: skip
        panel.fill_between(
            steps, line["low"].to_numpy(), line["high"].to_numpy(), color=colour, alpha=0.16,
            linewidth=0,
        )  # fmt: skip
    style.dress(panel)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=True))


def _scale(panels: Sequence[Axes], lines: pl.DataFrame, *, from_zero: bool) -> None:
    """Choose the y axis of a row: by factors where values differ ten-fold, and a line at 1 for
    ratios."""
    values = lines["value"].to_numpy()
    values = values[np.isfinite(values)]
    if not from_zero:
        for panel in panels:
            panel.axhline(1, color=style.INK, linewidth=0.6, linestyle=(0, (1, 2)))
    if len(values) and values.min() > 0 and values.max() >= _TEN_FOLD * values.min():
        panels[0].set_yscale("log")
        for panel in panels:
            plain_numbers(panel.yaxis)
    elif len(values) and values.min() >= 0 and from_zero:
        panels[0].set_ylim(bottom=0)


def _row_label(name: str, metric: str) -> str:
    return f"{metric_label(metric)}, {name}" if name in (UPDATE, PROBE) else name


def _handles(by_step: pl.DataFrame, colours: dict[str, str]) -> list[Line2D | Patch]:
    levels = values_in_reading_order(by_step.select("cot").unique(), "cot")
    probed = by_step["probe_cot"].drop_nulls().unique().to_list()
    shown = [level for level in colours if level in {*levels, *probed}]
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colours[one], linewidth=style.LINE_POINTS, label=level_label(one))
        for one in shown
    ]
    if (by_step["quantity"] == HELD_OUT).any():
        dots = Line2D([], [], color=style.INK, linestyle="none", marker="o", markersize=3)
        dots.set_label("held-out loss")
        handles.append(dots)
    if (by_step["probe_correctness"] == IRRELEVANT).any():
        dashes = Line2D([], [], color=style.INK, linestyle=style.IRRELEVANT_DASHES, linewidth=1)
        dashes.set_label("irrelevant")
        handles.append(dashes)
    return handles


def _norm(values: np.ndarray) -> Normalize:
    there = values[np.isfinite(values)]
    positive = there[there > 0]
    if len(there) and len(positive) == len(there) and positive.max() > positive.min():
        return LogNorm(positive.min(), positive.max())
    return Normalize(there.min() if len(there) else 0, there.max() if len(there) else 1)


def _draw_map(panel: Axes, lines: pl.DataFrame, norm: Normalize) -> None:
    """Draw one cell for each layer and step that was measured; a step reaches half way to the
    next."""
    steps = _evenly(lines["step"].unique().sort().to_numpy())
    layers = lines["layer"].unique().sort().to_numpy()
    shown = lines.filter(pl.col("step").is_in(steps))
    values = np.full((len(layers), len(steps)), np.nan)
    places = (
        np.searchsorted(layers, shown["layer"].to_numpy()),
        np.searchsorted(steps, shown["step"].to_numpy()),
    )
    values[places] = shown["value"].to_numpy()
    panel.pcolormesh(_edges(steps), _edges(layers), values, norm=norm, cmap="Blues",
                     rasterized=True)  # fmt: skip
    panel.set_facecolor("#EEEEEE")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=True))
    panel.tick_params(labelsize=style.TICK_POINTS, width=0.6, length=2.5)


def _edges(places: np.ndarray) -> np.ndarray:
    """Borders half way between neighbours; the outer ones as near as the nearest inner one."""
    if len(places) == 1:
        return np.array([places[0] - 0.5, places[0] + 0.5])
    half = np.diff(places).min() / 2
    middles = (places[1:] + places[:-1]) / 2
    return np.concatenate([[places[0] - half], middles, [places[-1] + half]])


def _evenly(steps: np.ndarray) -> np.ndarray:
    if len(steps) <= _MOST_STEPS:
        return steps
    return steps[np.linspace(0, len(steps) - 1, _MOST_STEPS).round().astype(int)]
