"""What every analysis asks of its rows: reading order, a known metric, whole matrices."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import polars as pl

from gradsweep.config import CorrectnessKind, cot_reading_key
from gradsweep.errors import ConfigError, DataError
from gradsweep.records import (
    METRICS,
    OPTIONAL_METRICS,
    POINT_LABELS,
    READING_ORDER,
    STUDY_OBJECTIVE,
)
from gradsweep.store.frames import metric_columns

CORRECT = CorrectnessKind.correct.name
IRRELEVANT = CorrectnessKind.irrelevant.name
UNITS_OF_BOTH = (CorrectnessKind.pair.name, CorrectnessKind.group.name)
"""What an objective of pairs or groups has in their place."""

_SORTED_BY = (
    "model", "objective", "series", "dataset", "cot", "correctness", "point_id", "projection",
    "part", "layer", "head",
)  # fmt: skip

_ORDER = {
    "correctness": tuple(kind.name for kind in CorrectnessKind),
    "objective": (STUDY_OBJECTIVE,),
    "projection": READING_ORDER,
    "part": ("all", "early", "middle", "late"),
}


def main_responses(kinds: Collection[str]) -> str:
    """Choose the value of correctness that levels are compared at: of pairs and groups their own,
    else `correct`."""
    return next((kind for kind in UNITS_OF_BOTH if kind in kinds), CORRECT)


def in_reading_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Sort `frame` by its axes, point, projection, part, layer and head, as far as it has them.

    CoT levels go from fast to slow thinking (none, partial_0, partial_1, …, simplified,
    detailed, then the user's own), correct comes before irrelevant, the study's objective before
    others, projections follow the paper's tables (q k v o); names unknown here come last,
    alphabetically. Variants of a model stand together.
    """
    keys: list[pl.Expr] = []
    for column in _SORTED_BY:
        if column not in frame.columns:
            continue
        order = _ORDER.get(column, ())
        if column == "cot":
            order = tuple(sorted(frame[column].unique(), key=cot_reading_key))
        if order:
            ranks = {name: rank for rank, name in enumerate(order)}
            keys.append(pl.col(column).replace_strict(ranks, default=len(ranks)))
        keys.append(pl.col(column))
    return frame.sort(keys, maintain_order=True)


def values_in_reading_order(frame: pl.DataFrame, column: str) -> list[str]:
    """List what `column` has, each value once."""
    return in_reading_order(frame.select(column).unique())[column].to_list()


def require_metric(rows: pl.DataFrame, metric: str) -> None:
    """Refuse a metric that is no column of `rows`.

    Raises:
        ConfigError: lists the metrics that the rows have, the user's own among them.
    """
    known = metric_columns(rows)
    if metric not in known:
        raise ConfigError(f"metric={metric} is not in the rows; allowed are {', '.join(known)}")


def with_every_axis(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the axis objective to rows that were taken from the store before it: the study's."""
    if "objective" in rows.columns:
        return rows
    return rows.with_columns(objective=pl.lit(STUDY_OBJECTIVE))


def of_units(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep the rows of units' own gradients: members' shares of them are left out."""
    if "member" not in rows.columns or rows["member"].null_count() == len(rows):
        return rows
    return rows.filter(pl.col("member").is_null())


def whole_samples(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep the rows of whole samples: those of single steps (`gradients.by=step`) are left out.

    A step's gradient is of a few tokens, so that points of steps are no condition beside others;
    `gradsweep.analysis.steps` is about them.
    """
    if "step_index" not in rows.columns or rows["step_index"].null_count() == len(rows):
        return rows
    return rows.filter(pl.col("step_index").is_null())


def single_steps_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep the rows of single steps (`gradients.by=step`)."""
    if "step_index" not in rows.columns:
        return rows.clear()
    return rows.filter(pl.col("step_index").is_not_null())


def single_heads(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep the rows of single attention heads, of units' own gradients."""
    if "head" not in rows.columns:
        return rows.clear()
    return of_units(rows).filter(pl.col("head").is_not_null())


def whole_matrices(rows: pl.DataFrame, *, strict: bool = True) -> pl.DataFrame:
    """Keep the rows of whole weight matrices and units.

    Those of single attention heads and of units' members (`of_units`) are left out.

    Raises:
        DataError: when `strict`, a projection of a point has rows of heads only; a
            mean over heads is not a metric of the matrix.
    """
    rows = of_units(rows)
    if "head" not in rows.columns or rows["head"].null_count() == len(rows):
        return rows
    whole = rows.filter(pl.col("head").is_null())
    if not strict:
        return whole
    matrix = ["point_id", "projection"]
    lacking = rows.select(matrix).unique().join(whole, on=matrix, how="anti").sort(matrix)
    for point_id, projection in lacking.iter_rows():
        raise DataError(
            f"rows: projection {projection} of point {point_id} has rows of single heads only "
            "(column head), and this analysis is of whole matrices; measure the whole matrix "
            f"too, or leave it out (rows.filter(pl.col('projection') != {projection!r}))"
        )
    return whole


def rows_with_values(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Keep, for a metric that not every point has, the projections of a model that have a value.

    Such are metrics that take an option, and the user's own; all rows are kept for the others.

    Raises:
        ConfigError: the rows do not have the metric, or no value of it: the option was not set.
    """
    require_metric(rows, metric)
    if metric in METRICS and metric not in OPTIONAL_METRICS:
        return rows
    has_value = pl.col(metric).is_finite()
    of_study = [n for n in ("model", "objective", "series", "dataset") if n in rows.columns]
    kept = rows.filter(has_value.any().over(*of_study, "projection"))
    if kept.is_empty():
        option = OPTIONAL_METRICS.get(metric)
        remedy = f": it is measured with {option}" if option else ""
        raise ConfigError(f"metric={metric} has no value in these results{remedy}")
    return kept


def require_one_point_per_condition(rows: pl.DataFrame) -> None:
    """Refuse points of one condition, which `gradsweep.analysis.conditions` makes one.

    Raises:
        ConfigError: names the points.
    """
    points = with_every_axis(rows).select(*POINT_LABELS, "point_id").unique()
    shared = (
        points.group_by(*POINT_LABELS)
        .agg(pl.col("point_id").sort())
        .filter(pl.col("point_id").list.len() > 1)
    )
    for *labels, point_ids in (
        in_reading_order(shared).select(*POINT_LABELS, "point_id").iter_rows()
    ):
        named = " ".join(
            f"{name}={value}" for name, value in zip(POINT_LABELS, labels, strict=True) if value
        )
        raise ConfigError(
            f"point_ids: {', '.join(point_ids)} all are {named}, of several seeds or with more "
            "measured; pool them (rows = gradsweep.analysis.conditions(rows)), or keep one of them"
        )


def lines_of_each(
    frame: pl.DataFrame, names: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], list[int]]]:
    """Give each combination of values in some columns, with the numbers of its lines, in order.

    Lists and arrays are cut by them: a frame for each of thousands of curves takes longer than
    what is computed of it.
    """
    numbered = frame.select(names).with_row_index("_line")
    for *values, lines in numbered.group_by(names, maintain_order=True).agg("_line").iter_rows():
        yield tuple(values), lines
