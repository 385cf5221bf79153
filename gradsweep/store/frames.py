"""The two tables of a point: samples (one line each) and rows (sample × layer × projection)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import polars as pl

from gradsweep.records import SampleResult, SpectrumRow

_POLARS_TYPES: dict[str, pl.DataType] = {
    "int": pl.Int32(),
    "int | None": pl.Int32(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "str": pl.String(),
    "SampleStatus": pl.String(),
    "list[float] | None": pl.List(pl.Float64()),
}

SAMPLE_SCHEMA = {
    f.name: _POLARS_TYPES[str(f.type)] for f in fields(SampleResult) if f.name != "rows"
}
ROW_SCHEMA = {"sample_id": pl.String(), "question_id": pl.String()} | {
    f.name: _POLARS_TYPES[str(f.type)] for f in fields(SpectrumRow) if f.name != "own_metrics"
}
"""Columns are the fields of the records, so the records document the files."""


def samples_frame(results: Sequence[SampleResult]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            [r.status.value if name == "status" else getattr(r, name) for name in SAMPLE_SCHEMA]
            for r in results
        ],
        schema=SAMPLE_SCHEMA,
        orient="row",
    )


def rows_frame(results: Sequence[SampleResult]) -> pl.DataFrame:
    """Columns: `ROW_SCHEMA`, then the user's own metrics in alphabetical order."""
    own = sorted({name for result in results for row in result.rows for name in row.own_metrics})
    columns = [name for name in ROW_SCHEMA if name not in ("sample_id", "question_id")]
    lines = [
        [result.sample_id, result.question_id]
        + [getattr(row, name) for name in columns]
        + [row.own_metrics.get(name) for name in own]
        for result in results
        for row in result.rows
    ]
    schema = ROW_SCHEMA | dict.fromkeys(own, pl.Float64())
    return pl.DataFrame(lines, schema=schema, orient="row")
