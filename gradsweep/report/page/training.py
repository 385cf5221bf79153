"""Training points on the page: what its charts and maps are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from gradsweep.analysis.rows import values_in_reading_order
from gradsweep.report.figures.colours import darker, level_colours, on_both
from gradsweep.report.labels import level_label, metric_label, metric_words, projection_label
from gradsweep.report.page.curves import four_digits
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
from gradsweep.report.training.tables import evenly, probe_name

MOST_POINTS = 300
"""Points of one line; of more steps, evenly chosen ones. The CSV by step has all."""
MOST_COLUMNS = 60
"""Steps of one map."""

_PANELS = {"update": (UPDATE,), "probes": (PROBE,), GAP: (GAP,), "loss": (LOSS, HELD_OUT)}


def training_charts(study: TrainingStudy | None) -> list[dict[str, Any]]:
    """List, for each model and dataset, title, panels of lines, and maps.

    Panels of one quantity share a scale. A line has name, colour (on light and dark pages), dash or
    dots, and by step value, low, high and n. A map has name, layers, steps and, for each
    projection, values by layer and step. Numbers have four digits.
    """
    if study is None:
        return []
    return [_group(study, group, runs) for group, runs in study.groups.items()]


def _group(study: TrainingStudy, group: tuple[str, str], runs: Sequence[Run]) -> dict[str, Any]:
    of_runs = study.by_step.filter(pl.col("point_id").is_in([run.point_id for run in runs]))
    colours = level_colours(sorted({*(r.cot for r in runs), *of_runs["probe_cot"].drop_nulls()}))
    conditions = dict.fromkeys(run.condition for run in runs)
    panels = []
    for name, quantities in _PANELS.items():
        for condition in conditions:
            chosen = [run for run in runs if run.condition == condition]
            lines = [
                line
                for run in chosen
                for line in _lines(study, run, quantities, colours)
                if line["step"]
            ]
            if lines:
                title = f"{name}, learns from {condition}"
                panels.append({"title": title, "quantity": name, "lines": lines})
    return {
        "title": group_title(group),
        "metric": metric_label(study.metric),
        "words": metric_words(study.metric),
        "legend": [
            {"name": level_label(level), "colour": on_both(colours[level])}
            for level in values_in_reading_order(_levels(runs, of_runs), "cot")
        ],
        "panels": panels,
        "maps": [one for run in runs for one in _maps(study, run)],
    }


def _levels(runs: Sequence[Run], lines: pl.DataFrame) -> pl.DataFrame:
    levels = {*(run.cot for run in runs), *lines["probe_cot"].drop_nulls()}
    return pl.DataFrame({"cot": sorted(levels)})


def _lines(
    study: TrainingStudy, run: Run, quantities: Sequence[str], colours: dict[str, str]
) -> list[dict[str, Any]]:
    keys = ["quantity", "probe_cot", "probe_correctness"]
    shown = study.by_step.filter(
        pl.col("point_id") == run.point_id,
        pl.col("quantity").is_in(quantities),
        pl.col("value").is_finite(),
    ).sort("step")
    lines = []
    for (quantity, cot, kind), line in shown.group_by(keys, maintain_order=True):
        kept = line.filter(pl.col("step").is_in(evenly(line["step"].to_list(), MOST_POINTS)))
        colour = colours[str(cot) if quantity == PROBE else run.cot]
        irrelevant = kind not in (None, "correct")
        what = probe_name(str(cot), str(kind)) if quantity == PROBE else str(quantity)
        lines.append(
            {
                "name": f"{what} · learns from {run.words}",
                "colour": on_both(darker(colour) if irrelevant else colour),
                "plain": quantity == GAP,
                "dashed": irrelevant,
                "dots": quantity == HELD_OUT,
                "step": kept["step"].to_list(),
                **{end: [*map(four_digits, kept[end])] for end in ("value", "low", "high")},
                "n": kept["n"].to_list(),
            }
        )
    return lines


def _maps(study: TrainingStudy, run: Run) -> list[dict[str, Any]]:
    keys = ["source", "probe_cot", "probe_correctness"]
    found = []
    for (source, cot, kind), lines in study.layers.filter(point_id=run.point_id).group_by(
        keys, maintain_order=True
    ):
        what = "update" if source == UPDATE else probe_name(str(cot), str(kind))
        steps = evenly(lines["step"].unique().sort().to_list(), MOST_COLUMNS)
        layers = lines["layer"].unique().sort().to_list()
        found.append(
            {
                "name": f"learns from {run.words} · {what}",
                "steps": steps,
                "layers": layers,
                "projections": [
                    {
                        "name": projection_label(projection),
                        "values": _grid(lines.filter(projection=projection), layers, steps),
                    }
                    for projection in values_in_reading_order(lines, "projection")
                ],
            }
        )
    return found


def _grid(lines: pl.DataFrame, layers: list[int], steps: list[int]) -> list[list[float | None]]:
    """Values by layer and step; None where nothing was measured."""
    value = {
        (layer, step): value for layer, step, value in
        lines.select("layer", "step", "value").iter_rows()
    }  # fmt: skip
    return [[four_digits(value.get((layer, step))) for step in steps] for layer in layers]
