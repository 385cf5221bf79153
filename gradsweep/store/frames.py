"""The two tables of a point: samples (one line each) and rows (sample × layer × projection)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import polars as pl

from gradsweep.records import SampleResult, SpectrumRow

_POLARS_TYPES: dict[str, pl.DataType] = {
    "int": pl.Int32(),
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
    f.name: _POLARS_TYPES[str(f.type)] for f in fields(SpectrumRow)
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
    metrics = [f.name for f in fields(SpectrumRow)]
    lines = [
        [result.sample_id, result.question_id, *(getattr(row, name) for name in metrics)]
        for result in results
        for row in result.rows
    ]
    return pl.DataFrame(lines, schema=ROW_SCHEMA, orient="row")
