"""Which points are compared with which: two conditions, or a base and an instruct model."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import polars as pl

from gradsweep.analysis.rows import (
    in_reading_order,
    require_one_point_per_condition,
    with_every_axis,
)
from gradsweep.errors import ConfigError
from gradsweep.records import POINT_LABELS
from gradsweep.store.series import base_name

_INSTRUCT = re.compile(r"[-_ ](instruct|it|chat)(?=$|[-_ @])", re.IGNORECASE)
"""What tells an instruct model's name from its base model's, in this package and on the hub."""


def paired_points(
    first: pl.DataFrame, second: pl.DataFrame, same: Sequence[str | pl.Expr]
) -> pl.DataFrame:
    """Set each point of `first` against those of `second` that agree with it on `same`.

    The one rule for "the other point" of a comparison: the points of a pair agree on every axis
    and on the series, but for what the comparison is about.

    Args:
        first: columns point_id and `POINT_LABELS`, a line for each point.
        second: the same.
        same: columns, or expressions of them, that must be equal in both.

    Returns:
        The axes and series of the first point, `second_<name>` of the second, first_point_id,
        second_point_id; in reading order.
    """
    # With everything named there is nothing left to agree on.
    key = pl.concat_list([*same] or pl.lit("")).alias("key")
    names = {name: f"second_{name}" for name in POINT_LABELS}
    of_first = first.select(key, *POINT_LABELS, pl.col("point_id").alias("first_point_id"))
    of_second = second.with_columns(key).select("key", *POINT_LABELS, "point_id")
    pairs = of_first.join(of_second.rename({"point_id": "second_point_id"} | names), on="key")
    ids = ["first_point_id", "second_point_id"]
    return in_reading_order(pairs.select(*POINT_LABELS, *names.values(), *ids))


def condition_pairs(
    rows: pl.DataFrame, first: Mapping[str, str], second: Mapping[str, str]
) -> pl.DataFrame:
    """Pair points at `first` with points at `second` that agree on every other axis and series.

    `condition_pairs(rows, {"cot": "none"}, {"cot": "detailed"})` pairs fast with slow thinking
    for every model, dataset and correctness; `{"series": ""}` and `{"series": "n_samples=2"}`
    pair two series. Columns: those of `paired_points`; no lines where only one of the two points
    is there.

    Raises:
        ConfigError: a name that is neither axis nor series, different names in `first` and
            `second`, a value that no row has, or two points of one condition.
    """
    require_one_point_per_condition(rows)
    if set(first) != set(second) or not first or not set(first) <= set(POINT_LABELS):
        raise ConfigError(
            f"first and second must name the same axes, of {', '.join(POINT_LABELS)}; "
            f"got {dict(first)} and {dict(second)}"
        )
    points = _points(rows)
    for axis, value in [*first.items(), *second.items()]:
        present = sorted(points[axis].unique())
        if value not in present:
            raise ConfigError(f"{axis}={value} is not in the rows; there are {', '.join(present)}")
    same = [name for name in POINT_LABELS if name not in first]
    return paired_points(_at(points, first), _at(points, second), same)


def model_pairs(rows: pl.DataFrame, named: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Pair points of base models (first) with the same condition of their instruct models (second).

    Models pair by name (`base_and_instruct_models`), others as `named` says, base -> instruct.
    Columns: those of `paired_points`.

    Raises:
        ConfigError: a model in `named` that no row has, or two points with the same axes and
            series.
    """
    require_one_point_per_condition(rows)
    points = _points(rows)
    same = [name for name in POINT_LABELS if name != "model"]
    pairs = [
        paired_points(_at(points, {"model": base}), _at(points, {"model": instruct}), same)
        for base, instruct in base_and_instruct_models(points["model"].unique(), named)
    ]
    return in_reading_order(pl.concat([paired_points(points.clear(), points, same), *pairs]))


def base_and_instruct_models(
    models: Collection[str], named: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """Find base models with their instruct models, both among `models`, base first.

    The instruct model has the base model's name with `instruct`, `it` or `chat` as a word of
    its own (`qwen2_1.5b_instruct`, `Qwen2-1.5B-Instruct`, `gemma-2-2b-it`). `named` adds pairs
    that names do not show, and wins over the rule.

    Raises:
        ConfigError: a model in `named` that is not there.
    """
    named = dict(named or {})
    for model in [*named, *named.values()]:
        if model not in models:
            raise ConfigError(
                f"model={model} is not in the rows; there are {', '.join(sorted(models))}"
            )
    by_rule = [
        (base, instruct)
        for instruct in sorted(models)
        if is_instruct(name := base_name(instruct))
        for base in sorted(models)
        if base_name(base) == _INSTRUCT.sub("", name, count=1) and base not in named
    ]
    return sorted([*by_rule, *named.items()])


def is_instruct(model: str) -> bool:
    """Tell whether the name has `instruct`, `it` or `chat` as a word of its own."""
    return _INSTRUCT.search(model) is not None


def _points(rows: pl.DataFrame) -> pl.DataFrame:
    return with_every_axis(rows).select(*POINT_LABELS, "point_id").unique()


def _at(points: pl.DataFrame, condition: Mapping[str, str]) -> pl.DataFrame:
    return points.filter(*(pl.col(axis) == value for axis, value in condition.items()))
