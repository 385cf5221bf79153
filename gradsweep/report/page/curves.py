"""The numbers that the charts draw, as plain lists for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from gradsweep.analysis.rows import whole_matrices
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
_DIFFERENCE = ("model", "dataset", "cot", "objective", "projection")


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
        names: _numbers(mad.select("mad", "relative_mad").transpose().to_series())
        for names, mad in _grouped(whole, _CURVE)
    }
    return [
        {
            **dict(zip(("point", "projection"), names, strict=True)),
            "layer": curve["layer"].to_list(),
            "value": _numbers(curve["mean"]),
            "low": _numbers(curve["ci_low"]),
            "high": _numbers(curve["ci_high"]),
            "n": curve["n_samples"].max(),
            **dict(zip(("mad", "relativeMad"), mads[names], strict=True)),
        }
        for names, curve in _grouped(one.curves, _CURVE)
    ]


def difference_numbers(one: Measures) -> list[dict[str, Any]]:
    """List RD by layer with its interval and both curves, for each model to projection."""
    return [
        {
            **dict(zip(_DIFFERENCE, names, strict=True)),
            "layer": curve["layer"].to_list(),
            "value": _numbers(curve["relative_difference"]),
            "low": _numbers(curve["rd_low"]),
            "high": _numbers(curve["rd_high"]),
            "correct": _numbers(curve["correct"]),
            "irrelevant": _numbers(curve["irrelevant"]),
            "n": curve["n_questions"].max(),
        }
        for names, curve in _grouped(
            with_model_labels(one.differences, objective=False), _DIFFERENCE
        )
        if curve["relative_difference"].is_finite().any()
    ]


def _grouped(
    frame: pl.DataFrame, names: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], pl.DataFrame]]:
    return iter(frame.group_by(names, maintain_order=True))


def _numbers(values: pl.Series) -> list[float | None]:
    """None where there is no value: JSON knows no NaN."""
    return [
        float(f"{value:.{DIGITS}g}") if value is not None and math.isfinite(value) else None
        for value in values.to_list()
    ]
