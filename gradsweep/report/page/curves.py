"""The numbers that the charts draw, as plain lists for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from gradsweep.analysis.rows import lines_of_each, whole_matrices
from gradsweep.report.labels import metric_label, metric_words
from gradsweep.report.measures import Measures, compute_measures
from gradsweep.store.frames import metric_columns
from gradsweep.store.series import with_model_labels

DIGITS = 5
"""Significant digits of a drawn number; tables keep all."""

ROWS_FOR_EVERY_METRIC = 1_000_000
"""Up to so many rows the page has every metric: about two seconds for each of them then."""

ROWS_WHILE_WATCHED = 100_000
"""The same for a page that is written again and again, beside the sweep that it follows."""

_CURVE = ("point_id", "projection")
_OF_CURVE = {"mean": "value", "ci_low": "low", "ci_high": "high"}
"""Columns -> what the scripts call them."""
_DIFFERENCE = ("model", "dataset", "cot", "objective", "projection")
_OF_DIFFERENCE = {
    "relative_difference": "value",
    "rd_low": "low",
    "rd_high": "high",
    "correct": "correct",
    "irrelevant": "irrelevant",
}


def with_other_metrics(
    rows: pl.DataFrame, computed: Sequence[Measures], most_rows: int = ROWS_FOR_EVERY_METRIC
) -> list[Measures]:
    """Add to `computed` every other metric that has values where `rows` are at most `most_rows`.

    Metrics of whole samples have no curve.
    """
    present = {one.metric for one in computed}
    others = [name for name in metric_columns(rows) if name not in present]
    if len(whole_matrices(rows, strict=False)) > most_rows:
        others = []
    with_values = [name for name in others if rows[name].cast(pl.Float64).is_finite().any()]
    drawn = [one for one in computed if not one.per_sample]
    return [*drawn, *(compute_measures(rows, name, summary=False) for name in with_values)]


def metric_names(computed: Sequence[Measures]) -> list[dict[str, str]]:
    return [
        {"key": one.metric, "label": metric_label(one.metric), "words": metric_words(one.metric)}
        for one in computed
    ]


def curve_numbers(one: Measures) -> list[dict[str, Any]]:
    """List, for each point and projection, layers, mean, low and high (lists), n samples, MAD.

    `mad` and `relativeMad` (over the mean) are over all layers.
    """
    whole = one.mads.filter(pl.col("part") == "all")
    mads = {
        tuple(names): _numbers(mad)
        for *names, mad in whole.select(*_CURVE, pl.concat_list("mad", "relative_mad")).iter_rows()
    }
    columns = {name: one.curves[name].to_list() for name in ("layer", *_OF_CURVE, "n_samples")}
    return [
        {
            **dict(zip(("point", "projection"), names, strict=True)),
            "layer": _cut(columns["layer"], lines),
            **{key: _numbers(_cut(columns[name], lines)) for name, key in _OF_CURVE.items()},
            "n": max(_cut(columns["n_samples"], lines)),
            **dict(zip(("mad", "relativeMad"), mads[names], strict=True)),
        }
        for names, lines in lines_of_each(one.curves, _CURVE)
    ]


def difference_numbers(one: Measures) -> list[dict[str, Any]]:
    """List RD by layer with its interval and both curves, for each model to projection."""
    named = with_model_labels(one.differences, objective=False)
    columns = {name: named[name].to_list() for name in ("layer", *_OF_DIFFERENCE, "n_questions")}
    return [
        {
            **dict(zip(_DIFFERENCE, names, strict=True)),
            "layer": _cut(columns["layer"], lines),
            **{key: _numbers(_cut(columns[name], lines)) for name, key in _OF_DIFFERENCE.items()},
            "n": max(_cut(columns["n_questions"], lines)),
        }
        for names, lines in lines_of_each(named, _DIFFERENCE)
        if any(map(math.isfinite, _cut(columns["relative_difference"], lines)))
    ]


def _cut(values: list[Any], lines: Sequence[int]) -> list[Any]:
    return [values[line] for line in lines]


def _numbers(values: Sequence[float | None]) -> list[float | None]:
    """None where there is no value: JSON knows no NaN."""
    return [
        float(f"{value:.{DIGITS}g}") if value is not None and math.isfinite(value) else None
        for value in values
    ]
