"""What reports read of one large point alone, made when it is done (`gradsweep.store.reduced`).

Curves, intervals and complete values of a report's own metrics: everything that no other point
changes. Names are not in it: a folder gives them. A report of thousands of points would read and
sort a point's rows again and again; what pairs of points say it computes from the values.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from gradsweep.analysis.complete import Asked, CurveValues
from gradsweep.analysis.members import member_metrics
from gradsweep.analysis.point_rows import asked_questions
from gradsweep.analysis.point_values import PointCurves
from gradsweep.analysis.resampling import STATISTICS, Floats
from gradsweep.analysis.rows import CORRECT
from gradsweep.analysis.sample_metrics import sample_rows
from gradsweep.errors import DataError, StoreError
from gradsweep.records import POINT_LABELS, STUDY_OBJECTIVE
from gradsweep.report.about_points import about_points
from gradsweep.report.measures import PointMeasures, point_measures
from gradsweep.report.together import Together
from gradsweep.store.paths import PointPaths
from gradsweep.store.read import stored_table
from gradsweep.store.reduced import Reduced, read_reduced, write_reduced
from gradsweep.versions import digest_of

MAIN_METRIC = "nuclear_norm"
"""Of which outliers are."""
LOSS = "loss"
REDUCED_METRICS = (MAIN_METRIC, "sigma_ratio", LOSS)
"""What every report computes."""
_SMALLEST = 1_000_000
"""Bytes of rows (some 10,000 rows): those of smaller points are read as soon as such a file."""
MADE_BY = (
    "analysis/*.py", "records/*.py", "store/frames.py", "store/reduced.py", "report/measures.py",
    "report/together.py", "report/about_points.py", "report/outliers.py", "report/cut.py",
    "report/reduced_points.py",
)  # fmt: skip
"""Source files that decide what such a file holds."""

_NAMES = [*POINT_LABELS, "point_id"]


def keep_reduced(paths: PointPaths) -> bool:
    """Make the file of a point that is done and has many rows; tell whether it is there.

    Reports do without where it cannot be written; the rows' damage is theirs to tell.
    """
    if not os.access(paths.folder, os.W_OK) or paths.rows.stat().st_size < _SMALLEST:
        return False
    # With as many threads as a report has: the last bits of products depend on it.
    with suppress(StoreError, DataError), threadpool_limits(1, user_api="blas"):
        rows, samples = stored_table(paths, "rows"), stored_table(paths, "samples")
        write_reduced(paths, _code(), reduced_of(rows, samples))
        return True
    return False


def read_point(
    paths: PointPaths, wanted: Callable[[str], bool] = lambda name: True
) -> ReducedPoint | None:
    """Read what is kept of a point that is done, and keep it where there is none of today.

    None of a point that has few rows, or other rows than reports mostly read (`reduced_of`).

    Args:
        paths: of the point.
        wanted: as of `read_reduced`.
    """
    reduced = read_reduced(paths, _code(), wanted)
    if reduced is None and keep_reduced(paths):
        reduced = read_reduced(paths, _code(), wanted)
    return None if reduced is None or not reduced.about else ReducedPoint(paths.point_id, reduced)


@lru_cache(maxsize=1)
def _code() -> str:
    return digest_of(MADE_BY, ("numpy", "polars"))


def reduced_of(rows: pl.DataFrame, samples: pl.DataFrame) -> Reduced:
    """Reduce a point's stored tables.

    There is nothing of a point with more than whole matrices of whole samples (steps, heads,
    members, cosines of layers), or without losses: of these the rows are read.

    Raises:
        DataError: rows that an analysis refuses.
    """
    rows, samples = _named(rows), _named(samples)
    if not _is_plain(rows, samples):
        return Reduced({})
    about = about_points(rows, samples, MAIN_METRIC)
    together, of_loss = Together(rows, samples), Together(sample_rows(samples))
    measured = [point_measures(of_loss if m == LOSS else together, m) for m in REDUCED_METRICS]
    arrays: dict[str, Floats] = {}
    tables = {"outliers": about["outliers"], "cut": about["cut"]}
    for one in measured:
        arrays |= _arrays(one)
        tables |= {f"{name}-{one.metric}": getattr(one, name) for name in _TABLES}
    asked = {name: asked_questions(rows if name != LOSS else of_loss.rows) for name in
             REDUCED_METRICS}  # fmt: skip
    head = about["about"].row(0, named=True) | {
        "metrics": {one.metric: _curves(one) for one in measured},
        "asked": {name: sorted(next(iter(of.values()))) for name, of in asked.items()},
        "tokens": _tokens(rows, samples),
    }
    return Reduced(head, arrays, {name: _nameless(table) for name, table in tables.items()})


_TABLES = ("curves", "intervals", "samples", "summed")


def _named(table: pl.DataFrame) -> pl.DataFrame:
    """Names of a point of the study's objective: what the loss summed over tokens is asked of."""
    known = {"correctness": CORRECT, "objective": STUDY_OBJECTIVE}
    labels = [pl.lit(known.get(name, "")).alias(name) for name in POINT_LABELS]
    return table.with_columns(pl.lit("").alias("point_id"), *labels, seed=pl.lit(0, pl.Int64()))


def _nameless(table: pl.DataFrame) -> pl.DataFrame:
    return table.drop(name for name in _NAMES if name in table.columns)


def _is_plain(rows: pl.DataFrame, samples: pl.DataFrame) -> bool:
    beside = ("step_index", "head", "member", "layer_cosines")
    return (
        all(rows[n].null_count() == len(rows) for n in beside if n in rows.columns)
        and all(rows[n].null_count() == 0 for n in ("sample_id", "question_id"))
        and not member_metrics(rows)
        and bool(sample_rows(samples)["loss"].is_finite().any())
    )


def _arrays(of: PointMeasures) -> dict[str, Floats]:
    """Complete values, and statistics of resampled curves (curves, statistics, 1 + resamples)."""
    over_layers = [of.questions.over_layers[one.names] for one in of.values]
    return {
        f"values-{of.metric}": np.concatenate([one.values.ravel() for one in of.values]),
        f"over_layers-{of.metric}": np.stack([[of_[s] for s in STATISTICS] for of_ in over_layers]),
    }


def _curves(of: PointMeasures) -> list[dict[str, Any]]:
    """What tells the values of curves apart; those that ask the same questions say it once."""
    found: list[dict[str, Any]] = []
    before: Asked | None = None
    for one in of.values:
        asked = {"questions": one.asked.question_ids, "place": one.asked.place.tolist()}
        same = before is not None and before is one.asked
        before = one.asked
        line = {"projection": one.projection, "layers": one.layers}
        found.append(line if same else line | asked)
    return found


def _tokens(rows: pl.DataFrame, samples: pl.DataFrame) -> list[float] | None:
    """Response tokens of the samples that have rows, in the order of their names; None where it is
    not known of one."""
    known = samples.unique("sample_id").join(rows, on="sample_id", how="semi").sort("sample_id")
    tokens = known["n_response_tokens"].cast(pl.Float64)
    whole = tokens.null_count() == 0 and len(tokens) == rows["sample_id"].n_unique()
    return tokens.to_list() if whole else None


@dataclass(frozen=True)
class ReducedPoint:
    """A point's file that was read."""

    point_id: str
    reduced: Reduced

    def values(self, metric: str) -> list[CurveValues]:
        """The complete values of a metric, as `SortedRows.curves` arranges them."""
        values, start, asked = (
            self.reduced.arrays[f"values-{metric}"],
            0,
            Asked((), np.empty(0, np.intp)),
        )
        found = []
        for one in self.reduced.about["metrics"][metric]:
            if "questions" in one:
                asked = Asked(tuple(one["questions"]), np.array(one["place"], np.intp))
            shape = len(asked.place), len(one["layers"])
            block = values[start : start + shape[0] * shape[1]].reshape(shape)
            layers = tuple(one["layers"])
            found.append(CurveValues(self.point_id, one["projection"], layers, asked, block))
            start += block.size
        return found

    def over_layers(self, metric: str) -> dict[tuple[str, str], dict[str, Floats]]:
        """Return what `Resampled.over_layers` has of this point."""
        curves = self.reduced.about["metrics"][metric]
        every = self.reduced.arrays[f"over_layers-{metric}"]
        by_curve = every.reshape(len(curves), len(STATISTICS), -1)
        return {
            (self.point_id, one["projection"]): dict(zip(STATISTICS, of_curve, strict=True))
            for one, of_curve in zip(curves, by_curve, strict=True)
        }

    def curves(self, metric: str) -> PointCurves:
        """The complete values of a metric, with what else a claim asks."""
        about = self.reduced.about
        tokens = None if about["tokens"] is None else np.array(about["tokens"])
        return PointCurves(self.values(metric), tuple(about["asked"][metric]), tokens)


def named_tables(
    points: Sequence[ReducedPoint], names: pl.DataFrame, table: str, columns: Iterable[str]
) -> pl.DataFrame:
    """Join one table of points, with their names.

    Args:
        points: that were read.
        names: a line for each of them, in their order.
        table: which of the tables.
        columns: of the names.
    """
    frames = [point.reduced.tables[table] for point in points]
    lines = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
    joined = pl.concat(frames)
    return names.select(columns)[lines].hstack(joined)
