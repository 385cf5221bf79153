"""Samples that lie far from the others of their point, with what a reader sees of them."""

from __future__ import annotations

import polars as pl

from gradsweep.analysis.outliers import sample_outliers
from gradsweep.analysis.sample_metrics import rows_of_metric
from gradsweep.store.frames import metric_columns

_SHOWN = ("index", "loss", "n_prompt_tokens", "n_response_tokens", "truncated")


def told_outliers(rows: pl.DataFrame, samples: pl.DataFrame | None, metric: str) -> pl.DataFrame:
    """Find the outliers of each point (`sample_outliers`); none where `rows` lack the metric.

    With `samples` they have index, loss, n_prompt_tokens, n_response_tokens and truncated, as far
    as these do.
    """
    of_metric = rows_of_metric(metric, rows, samples)
    if metric not in of_metric.columns:
        of_metric, metric = rows.clear(), metric_columns(rows)[0]
    outliers = sample_outliers(of_metric, metric)
    if samples is None:
        return outliers
    key = ["point_id", "sample_id"]
    shown = [name for name in _SHOWN if name in samples.columns]
    of_samples = samples.select(*key, *shown).unique(key, maintain_order=True)
    return outliers.join(of_samples, on=key, how="left", maintain_order="left")
