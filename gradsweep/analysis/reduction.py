"""What the sum of the token losses would have given instead of their mean.

The loss of the study's objective is the mean cross-entropy over the T response tokens. A gradient
is linear in its loss, so the gradient of the sum is T times that of the mean, and so is every
singular value: the sum-reduced series needs no further run.

    ‖∇ Σ_t ℓ_t‖ = T · ‖∇ (1/T) Σ_t ℓ_t‖
"""

from __future__ import annotations

import polars as pl

from gradsweep.analysis.conditions import conditions
from gradsweep.analysis.curves import curve_means, curves
from gradsweep.analysis.rows import CORRECT, with_every_axis
from gradsweep.errors import DataError
from gradsweep.records import STUDY_OBJECTIVE
from gradsweep.store.frames import metric_columns
from gradsweep.store.series import series_parts

SCALED = ("nuclear_norm", "sigma_max", "frobenius_norm")
"""Metrics that grow with the gradient; the others (ratios, ranks, cosines) do not change."""


def of_mean_loss(objective: str, series: str) -> bool:
    """Tell whether the loss of points is the mean cross-entropy, which a sum follows from."""
    reduced = any(part.startswith("reduction=") for part in series_parts(series))
    return objective == STUDY_OBJECTIVE and not reduced


def sum_reduced(rows: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Scale `rows` to what they would be with the sum of the token losses instead of their mean.

    Args:
        rows: from the store's reader, with any of the columns `SCALED` and `singular_values`.
        samples: from the store's reader, for the same points: n_response_tokens per sample.

    Raises:
        DataError: `samples` does not have every sample of `rows`.
    """
    return _times_tokens(rows, samples, 1)


def other_reduction(rows: pl.DataFrame, samples: pl.DataFrame, loss: str) -> pl.DataFrame:
    """Give `sum_reduced` of rows whose loss is the mean, and its inverse where it is the sum.

    Raises as `sum_reduced`.
    """
    return _times_tokens(rows, samples, 1 if loss == "mean" else -1)


def summed_means(rows: pl.DataFrame, samples: pl.DataFrame | None, metric: str) -> pl.DataFrame:
    """Average `metric` of correct responses over samples and layers, with the loss summed over
    tokens.

    Columns: those of `curve_means`. No lines without `samples`, for a metric that does not grow
    with the gradient, and for points whose rows are no gradients of a mean cross-entropy.

    Raises as `sum_reduced`.
    """
    rows = with_every_axis(rows)
    if samples is None or metric not in SCALED:
        return _nothing(rows, metric)
    names = rows.select("objective", "series").unique()
    averaged = names.filter(
        [of_mean_loss(*name) and "loss=sum" not in series_parts(name[1]) for name in names.rows()]
    )
    chosen = rows.filter(pl.col("correctness") == CORRECT).join(
        averaged, on=["objective", "series"], how="semi", maintain_order="left"
    )
    if chosen.is_empty():
        return _nothing(rows, metric)
    others = [name for name in metric_columns(chosen) if name != metric]
    summed = conditions(sum_reduced(chosen.drop(others), samples))
    return curve_means(curves(summed, metric, resamples=0))


def _nothing(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    return curve_means(curves(rows.clear(), metric, resamples=0))


def _times_tokens(rows: pl.DataFrame, samples: pl.DataFrame, power: int) -> pl.DataFrame:
    key = ["point_id", "sample_id"]
    counts = samples.select(*key, pl.col("n_response_tokens").cast(pl.Float64)).unique(key)
    counted = rows.join(counts, on=key, how="left", maintain_order="left")
    missing = counted["n_response_tokens"].null_count()
    if missing:
        raise DataError(
            f"samples: {missing} of {len(rows)} rows belong to samples that are not in the table "
            "of samples; read both from the same results"
        )
    tokens = pl.col("n_response_tokens") ** power
    scaled = [pl.col(name) * tokens for name in SCALED if name in rows.columns]
    if "singular_values" in rows.columns:
        scaled.append(pl.col("singular_values") * tokens)
    return counted.with_columns(scaled).select(rows.columns)
