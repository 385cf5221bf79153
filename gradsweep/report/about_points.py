"""What a report says of points beside their measures: outliers, members, heads, what was cut."""

from __future__ import annotations

from typing import Any

import polars as pl

from gradsweep.analysis.layer_cosines import layer_cosines, measured
from gradsweep.analysis.members import member_means
from gradsweep.analysis.rows import single_heads, whole_matrices
from gradsweep.report.cut import cut_responses
from gradsweep.report.outliers import told_outliers
from gradsweep.store.kept_tables import Tables


def about_points(rows: pl.DataFrame, samples: pl.DataFrame | None, metric: str) -> Tables:
    """Compute the tables of one scope's points; `metric` is the report's first."""
    whole = whole_matrices(rows, strict=False)
    numbers = {"n_rows": [len(whole)], "n_flagged": [_n_flagged(rows)]}
    return {
        "about": pl.DataFrame(numbers, schema=dict.fromkeys(numbers, pl.Int64())),
        "outliers": told_outliers(rows, samples, metric),
        "members": member_means(rows, metric if metric in rows.columns else "nuclear_norm"),
        "layer_cosines": layer_cosines(rows),
        "heads": single_heads(rows).select("point_id").unique().sort("point_id"),
        "cut": pl.DataFrame() if samples is None else cut_responses(samples),
    }


def fields_of(about: Tables) -> dict[str, Any]:
    """Make fields of `Numbers` from `about_points` of all scopes."""
    return {name: about[name] for name in ("outliers", "cut", "members")} | {
        "with_heads": tuple(about["heads"]["point_id"]),
        "layer_cosines": measured(about["layer_cosines"]),
    }


def _n_flagged(rows: pl.DataFrame) -> int:
    return len(rows) - int(rows["finite"].sum()) if "finite" in rows.columns else 0
