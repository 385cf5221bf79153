"""The order in which conditions are shown, and the check that a condition is one point."""

from __future__ import annotations

import polars as pl

from gradsweep.config import CorrectnessKind, CotLevel
from gradsweep.errors import ConfigError
from gradsweep.records import ALL_PROJECTIONS, AXES

CORRECT = CorrectnessKind.correct.name
IRRELEVANT = CorrectnessKind.irrelevant.name

_ORDER = {
    "cot": tuple(level.name for level in CotLevel),
    "correctness": tuple(kind.name for kind in CorrectnessKind),
    "projection": ALL_PROJECTIONS,
}


def in_reading_order(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` sorted by its axes, point, projection and layer, as far as it has them.

    CoT levels go from fast to slow thinking, correct comes before irrelevant, projections
    follow the paper's tables (q k v o); names unknown here come last, alphabetically.
    """
    keys: list[pl.Expr] = []
    for column in (*AXES, "point_id", "projection", "layer"):
        if column not in frame.columns:
            continue
        if column in _ORDER:
            ranks = {name: rank for rank, name in enumerate(_ORDER[column])}
            keys.append(pl.col(column).replace_strict(ranks, default=len(ranks)))
        keys.append(pl.col(column))
    return frame.sort(keys)


def require_metric(rows: pl.DataFrame, metric: str) -> None:
    """Raises `ConfigError` when `metric` is not a numeric column of `rows`."""
    if metric in rows.columns and rows.schema[metric].is_numeric() and metric != "layer":
        return
    numeric = [name for name, kind in rows.schema.items() if kind.is_numeric() and name != "layer"]
    raise ConfigError(f"metric={metric} is not in the rows; allowed are {', '.join(numeric)}")


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
