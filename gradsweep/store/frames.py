"""The tables of a point: samples (one line each), rows (sample × `ROW_KEY`), and of a training
point its steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from enum import Enum

import polars as pl

from gradsweep.errors import DataError
from gradsweep.records import (
    METRICS,
    MOMENT,
    POINT_LABELS,
    ROW_KEY,
    Moment,
    SampleResult,
    SpectrumRow,
    TrainingStep,
)

_POLARS_TYPES: dict[str, pl.DataType] = {
    "int": pl.Int32(),
    "int | None": pl.Int32(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "str": pl.String(),
    "str | None": pl.String(),
    "SampleStatus": pl.String(),
    "StepLabel | None": pl.String(),
    "list[float] | None": pl.List(pl.Float64()),
}

SAMPLE_SCHEMA = {
    f.name: _POLARS_TYPES[str(f.type)] for f in fields(SampleResult) if f.name != "rows"
}
OF_SAMPLE = ("sample_id", "question_id", "step_index")
"""Columns that rows have from their sample."""
ROW_SCHEMA = {name: SAMPLE_SCHEMA[name] for name in OF_SAMPLE} | {
    f.name: _POLARS_TYPES[str(f.type)] for f in fields(SpectrumRow) if f.name != "own_metrics"
}
"""Columns are the fields of the records, so the records document the files."""

MOMENT_SCHEMA: dict[str, pl.DataType] = {
    f.name: pl.String() if f.name == "source" else _POLARS_TYPES[str(f.type)]
    for f in fields(Moment)
}
STEP_SCHEMA = {f.name: _POLARS_TYPES[str(f.type)] for f in fields(TrainingStep)}


def sample_key(columns: Sequence[str]) -> list[str]:
    """Name what tells outcomes apart in a table of samples: a sample's id, and in a training point
    the moment, too."""
    return [*(name for name in MOMENT if name in columns), "sample_id"]


def moment_values(moment: Moment) -> dict[str, int | str | None]:
    """Return the columns of `MOMENT` as tables have them."""
    values = {name: getattr(moment, name) for name in MOMENT}
    return values | {"source": moment.source.value}


def at_moment(frame: pl.DataFrame, moment: Moment) -> pl.DataFrame:
    """Put the columns of `MOMENT` before those of a table of samples or rows."""
    values = moment_values(moment)
    placed = (pl.lit(values[name], kind).alias(name) for name, kind in MOMENT_SCHEMA.items())
    return frame.select(*placed, pl.all())


def of_moment(frame: pl.DataFrame, moment: Moment) -> pl.DataFrame:
    """Keep what was measured at a moment of a training point's table; else there is nothing."""
    if "step" not in frame.columns:
        return frame.clear()
    values = moment_values(moment).items()
    return frame.filter(*(pl.col(name).eq_missing(value) for name, value in values))


def steps_frame(steps: Sequence[TrainingStep]) -> pl.DataFrame:
    """Make the table of optimizer steps."""
    lines = [[getattr(step, name) for name in STEP_SCHEMA] for step in steps]
    return pl.DataFrame(lines, schema=STEP_SCHEMA, orient="row")


def metric_columns(rows: pl.DataFrame) -> tuple[str, ...]:
    """Name the metrics that `rows` have: those of `METRICS` in their order, then the user's own.

    A metric of the user's own is a float column that the schema does not know.
    """
    known = [name for name in METRICS if name in rows.columns]
    return (*known, *own_metric_columns(rows))


def own_metric_columns(rows: pl.DataFrame) -> list[str]:
    """Name the user's own metrics among the columns of `rows`, in alphabetical order."""
    return sorted(
        name for name, kind in rows.schema.items() if kind.is_float() and name not in ROW_SCHEMA
    )


def require_known_keys(rows: pl.DataFrame, sample: Sequence[str] = ("sample_id",)) -> None:
    """Refuse rows that only an unknown column tells apart: they would be counted as one.

    Args:
        rows: rows as the store writes them.
        sample: columns that name a sample.

    Raises:
        DataError: such a column has several values among the rows of a sample that share
            `ROW_KEY`; names the column and what to do.
    """
    labels = (*POINT_LABELS, "point_id", *ROW_SCHEMA)
    unknown = [n for n, kind in rows.schema.items() if n not in labels and not kind.is_float()]
    if not unknown:
        return
    key = [*sample, *(name for name in ROW_KEY if name in rows.columns)]
    n_values = rows.group_by(key).agg(pl.col(unknown).n_unique())
    for name in unknown:
        if (n_values[name] > 1).any():
            values = ", ".join(map(str, rows[name].unique().sort().to_list()[:4]))
            raise DataError(
                f"rows: {name} ({values}) tells rows of the same sample, {', '.join(ROW_KEY)} "
                "apart, and this version of gradsweep does not know it; keep the rows with one "
                f"value of {name} (rows.filter(pl.col({name!r}) == …)), or read the results with "
                "the version that wrote them"
            )


def samples_frame(results: Sequence[SampleResult]) -> pl.DataFrame:
    return pl.DataFrame(
        [[_plain(getattr(result, name)) for name in SAMPLE_SCHEMA] for result in results],
        schema=SAMPLE_SCHEMA,
        orient="row",
    )


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def rows_frame(results: Sequence[SampleResult]) -> pl.DataFrame:
    """Make the table of rows: `ROW_SCHEMA`, then the user's own metrics in alphabetical order."""
    own = sorted({name for result in results for row in result.rows for name in row.own_metrics})
    columns = [name for name in ROW_SCHEMA if name not in OF_SAMPLE]
    lines = [
        [getattr(result, name) for name in OF_SAMPLE]
        + [getattr(row, name) for name in columns]
        + [row.own_metrics.get(name) for name in own]
        for result in results
        for row in result.rows
    ]
    schema = ROW_SCHEMA | dict.fromkeys(own, pl.Float64())
    return pl.DataFrame(lines, schema=schema, orient="row")
