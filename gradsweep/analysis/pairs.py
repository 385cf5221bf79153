"""Which points are compared with which: two conditions, or a base and an instruct model."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import polars as pl

from gradsweep.analysis.conditions import in_reading_order, require_one_point_per_condition
from gradsweep.errors import ConfigError
from gradsweep.records import AXES

_INSTRUCT = re.compile(r"[-_ ](instruct|it|chat)(?=$|[-_ @])", re.IGNORECASE)
"""What tells an instruct model's name from its base model's, in this package and on the hub."""


def condition_pairs(
    rows: pl.DataFrame, first: Mapping[str, str], second: Mapping[str, str]
) -> pl.DataFrame:
    """Points at `first` with points at `second` that agree on every other axis.

    `condition_pairs(rows, {"cot": "none"}, {"cot": "detailed"})` pairs fast with slow thinking
    for every model, dataset and correctness. Columns: the axes of the first point,
    `second_<axis>` of the second, first_point_id, second_point_id; no lines where only one of
    the two points is there.

    Raises `ConfigError` for a name that is no axis, for different axes in `first` and
    `second`, for a value that no row has, or when two points share all four axes.
    """
    require_one_point_per_condition(rows)
    if set(first) != set(second) or not first or not set(first) <= set(AXES):
        raise ConfigError(
            f"first and second must name the same axes, of {', '.join(AXES)}; "
            f"got {dict(first)} and {dict(second)}"
        )
    points = _points(rows)
    for axis, value in [*first.items(), *second.items()]:
        present = sorted(points[axis].unique())
        if value not in present:
            raise ConfigError(f"{axis}={value} is not in the rows; there are {', '.join(present)}")
    shared = [axis for axis in AXES if axis not in first]
    one, other = (_at(points, condition) for condition in (first, second))
    return _paired(one.with_columns(_key(shared)), other.with_columns(_key(shared)))


def model_pairs(rows: pl.DataFrame, named: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Points of base models (first) with the same condition of their instruct models (second).

    Models pair by name (`base_and_instruct_models`), others as `named` says, base -> instruct.
    Columns as in `condition_pairs`. Raises `ConfigError` for a model in `named` that no row
    has, or when two points share all four axes.
    """
    require_one_point_per_condition(rows)
    points = _points(rows)
    models = base_and_instruct_models(points["model"].unique(), named)
    base = points.filter(pl.col("model").is_in(list(models)))
    instruct = points.filter(pl.col("model").is_in(list(models.values())))
    condition = [axis for axis in AXES if axis != "model"]
    translated = pl.col("model").replace(models)
    key = pl.concat_list(translated, *condition)
    return _paired(
        base.with_columns(key=key),
        instruct.with_columns(key=pl.concat_list("model", *condition)),
    )


def base_and_instruct_models(
    models: Collection[str], named: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Base model -> its instruct model, both among `models`.

    The instruct model has the base model's name with `instruct`, `it` or `chat` as a word of
    its own (`qwen2_1.5b_instruct`, `Qwen2-1.5B-Instruct`, `gemma-2-2b-it`); what tells points
    of a model apart (`qwen2_1.5b seed=1`) must be the same in both. `named` adds pairs that
    names do not show, and wins over the rule. Raises `ConfigError` for a model in `named` that
    is not there.
    """
    named = dict(named or {})
    for model in [*named, *named.values()]:
        if model not in models:
            raise ConfigError(
                f"model={model} is not in the rows; there are {', '.join(sorted(models))}"
            )
    by_rule = {}
    for model in sorted(models):
        base = _INSTRUCT.sub("", model, count=1)
        if base != model and base in models:
            by_rule[base] = model
    return by_rule | named


def is_instruct(model: str) -> bool:
    """Whether the name has `instruct`, `it` or `chat` as a word of its own."""
    return _INSTRUCT.search(model) is not None


def _points(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(*AXES, "point_id").unique()


def _at(points: pl.DataFrame, condition: Mapping[str, str]) -> pl.DataFrame:
    return points.filter(*(pl.col(axis) == value for axis, value in condition.items()))


def _key(axes: list[str]) -> pl.Expr:
    # With all four axes named there is one point on either side, and nothing to agree on.
    return pl.concat_list([pl.col(axis) for axis in axes] or pl.lit("")).alias("key")


def _paired(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    first = first.rename({"point_id": "first_point_id"})
    second = second.rename({"point_id": "second_point_id"} | {a: f"second_{a}" for a in AXES})
    pairs = first.join(second, on="key").drop("key")
    ids = ["first_point_id", "second_point_id"]
    return in_reading_order(pairs.select(*AXES, *(f"second_{axis}" for axis in AXES), *ids))
