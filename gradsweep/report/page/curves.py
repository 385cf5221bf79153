"""The numbers that the charts draw, as plain lists for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

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

_EXACT = 22
"""The largest power of ten that is a float."""
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
        (point_id, projection): numbers
        for point_id, projection, *numbers in zip(
            *whole.select(_CURVE), *(_numbers(whole[name]) for name in ("mad", "relative_mad")),
            strict=True,
        )
    }  # fmt: skip
    columns = {name: one.curves[name].to_list() for name in ("layer", "n_samples")}
    columns |= {name: _numbers(one.curves[name]) for name in _OF_CURVE}
    return [
        {
            **dict(zip(("point", "projection"), names, strict=True)),
            "layer": _cut(columns["layer"], lines),
            **{key: _cut(columns[name], lines) for name, key in _OF_CURVE.items()},
            "n": max(_cut(columns["n_samples"], lines)),
            **dict(zip(("mad", "relativeMad"), mads[names], strict=True)),
        }
        for names, lines in lines_of_each(one.curves, _CURVE)
    ]


def difference_numbers(one: Measures) -> list[dict[str, Any]]:
    """List RD by layer with its interval and both curves, for each model to projection."""
    named = with_model_labels(one.differences, objective=False)
    columns = {name: named[name].to_list() for name in ("layer", "n_questions")}
    columns |= {name: _numbers(named[name]) for name in _OF_DIFFERENCE}
    return [
        {
            **dict(zip(_DIFFERENCE, names, strict=True)),
            "layer": _cut(columns["layer"], lines),
            **{key: _cut(columns[name], lines) for name, key in _OF_DIFFERENCE.items()},
            "n": max(_cut(columns["n_questions"], lines)),
        }
        for names, lines in lines_of_each(named, _DIFFERENCE)
        if any(value is not None for value in _cut(columns["relative_difference"], lines))
    ]


def four_digits(value: float | None) -> float | None:
    """Round what needs no more on a chart; None where there is no value: JSON knows no NaN."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.4g}")


def _cut(values: list[Any], lines: Sequence[int]) -> list[Any]:
    """Take some lines, in their order; they nearly always lie together."""
    first, last = lines[0], lines[-1]
    if last - first + 1 == len(lines):  # they ascend
        return values[first : last + 1]
    return [values[line] for line in lines]


def _numbers(column: pl.Series) -> list[float | None]:
    """None where there is no value: JSON knows no NaN."""
    values = column.cast(pl.Float64).to_numpy()
    there = np.isfinite(values)
    found = _rounded(np.where(there, values, 0.0)).tolist()
    for place in np.flatnonzero(~there).tolist():
        found[place] = None
    return found


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to `DIGITS` significant digits, as `float(f"{value:.5g}")` does, millions at a time.

    A number of five digits over a power of ten that is exact is the float nearest to that decimal.
    What lies so near the middle of two that the first product may round over it is left to the
    text, and so are powers of ten that are not exact.
    """
    size = np.abs(values)
    with np.errstate(divide="ignore"):
        exponents = np.where(size > 0, np.floor(np.log10(size)), 0.0)
    places = (DIGITS - 1 - exponents).astype(np.int64)
    exact = np.abs(places) <= _EXACT
    powers = 10.0 ** np.where(exact, np.abs(places), 0)
    whole = np.where(places >= 0, values * powers, values / powers)
    digits = np.rint(whole)
    found = np.where(places >= 0, digits / powers, digits * powers)
    unsure = np.abs(np.abs(whole - np.trunc(whole)) - 0.5) < 1e-6
    unsure |= ~exact | (np.abs(digits) >= 10**DIGITS) | (np.abs(digits) < 10 ** (DIGITS - 1))
    for place in np.flatnonzero(unsure & (size > 0)).tolist():
        found[place] = float(f"{values[place]:.{DIGITS}g}")
    return found
