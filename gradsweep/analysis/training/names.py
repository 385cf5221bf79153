"""How a run is named among the others: its data and condition, its settings, its seed."""

from __future__ import annotations

from typing import Any

import polars as pl

from gradsweep.analysis.rows import CORRECT, in_reading_order
from gradsweep.analysis.training.moments import RUN
from gradsweep.records import POINT_LABELS


def run_names(frame: pl.DataFrame) -> dict[str, tuple[dict[str, Any], str, str]]:
    """Name the runs of a frame with columns of `RUN`, in reading order.

    Returns:
        point_id -> the columns of `RUN`; the series, with the seed where several runs differ in
        it alone; the data that it learns from: `gsm8k cot=none`.
    """
    runs = _in_order(frame.select(RUN).unique())
    several = runs.select(pl.struct(POINT_LABELS).is_duplicated()).to_series()
    names = {}
    for run, told in zip(runs.to_dicts(), several, strict=True):
        seed = f"seed={run['seed']}" if told else ""
        series = " ".join(filter(None, (run["series"], seed)))
        kind = "" if run["correctness"] == CORRECT else f" correctness={run['correctness']}"
        names[run["point_id"]] = (run, series, f"{run['dataset']} cot={run['cot']}{kind}")
    return names


def _in_order(runs: pl.DataFrame) -> pl.DataFrame:
    """Conditions in reading order, then by seed."""
    conditions = in_reading_order(runs.select(POINT_LABELS).unique()).with_row_index("place")
    placed = runs.join(conditions, on=POINT_LABELS, how="left")
    return placed.sort("place", "seed", "point_id").drop("place")
