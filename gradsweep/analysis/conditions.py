"""The order in which conditions are shown, and the check that a condition is one point."""

from __future__ import annotations

import polars as pl

from gradsweep.config import CorrectnessKind, cot_reading_key
from gradsweep.errors import ConfigError
from gradsweep.records import ALL_PROJECTIONS, AXES, OPTIONAL_METRICS

CORRECT = CorrectnessKind.correct.name
IRRELEVANT = CorrectnessKind.irrelevant.name

_ORDER = {
    "correctness": tuple(kind.name for kind in CorrectnessKind),
    "projection": ALL_PROJECTIONS,
    "part": ("all", "early", "middle", "late"),
}


def in_reading_order(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` sorted by its axes, point, projection, part and layer, as far as it has them.

    CoT levels go from fast to slow thinking (none, partial_0, partial_1, …, simplified,
    detailed, then the user's own), correct comes before irrelevant, projections
    follow the paper's tables (q k v o); names unknown here come last, alphabetically.
    """
    keys: list[pl.Expr] = []
    for column in (*AXES, "point_id", "projection", "part", "layer"):
        if column not in frame.columns:
            continue
        order = _ORDER.get(column, ())
        if column == "cot":
            order = tuple(sorted(frame[column].unique(), key=cot_reading_key))
        if order:
            ranks = {name: rank for rank, name in enumerate(order)}
            keys.append(pl.col(column).replace_strict(ranks, default=len(ranks)))
        keys.append(pl.col(column))
    return frame.sort(keys)


def values_in_reading_order(frame: pl.DataFrame, column: str) -> list[str]:
    """What `column` has, each value once."""
    return in_reading_order(frame.select(column).unique())[column].to_list()


def require_metric(rows: pl.DataFrame, metric: str) -> None:
    """Raises `ConfigError` when `metric` is not a numeric column of `rows`."""
    if metric in rows.columns and rows.schema[metric].is_numeric() and metric != "layer":
        return
    numeric = [name for name, kind in rows.schema.items() if kind.is_numeric() and name != "layer"]
    raise ConfigError(f"metric={metric} is not in the rows; allowed are {', '.join(numeric)}")


def rows_with_values(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    """`rows`; of a metric that takes an option, only those of projections that have a value.

    Raises `ConfigError` when such a metric has no value at all: the option was not set.
    """
    if metric not in OPTIONAL_METRICS:
        return rows
    has_value = pl.col(metric).is_finite()
    found = rows.filter(has_value.any().over("model", "dataset", "projection"))
    if found.is_empty():
        raise ConfigError(
            f"metric={metric} has no value in these results: "
            f"it is measured with {OPTIONAL_METRICS[metric]}"
        )
    return found


def require_one_point_per_condition(rows: pl.DataFrame) -> None:
    """Raises `ConfigError` when two points of `rows` have the same choice on all four axes.

    Such points differ in something that the axes do not name (prompt, dtype, seed, number of
    samples), so putting them side by side, or pairing them, would compare unlike with like.
    """
    points = rows.select(*AXES, "point_id").unique()
    shared = (
        points.group_by(*AXES)
        .agg(pl.col("point_id").sort())
        .filter(pl.col("point_id").list.len() > 1)
    )
    for *axes, point_ids in in_reading_order(shared).iter_rows():
        named = " ".join(f"{name}={value}" for name, value in zip(AXES, axes, strict=True))
        raise ConfigError(
            f"point_ids: {', '.join(point_ids)} all are {named}, with other settings that differ "
            "(prompt, dtype, seed or n_samples, say); choose one point for each condition"
        )
