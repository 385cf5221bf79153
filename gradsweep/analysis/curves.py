"""Curves: a metric's mean over samples, by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import bootstrap_interval
from gradsweep.analysis.rows import (
    in_reading_order,
    require_metric,
    whole_matrices,
    with_every_axis,
)
from gradsweep.errors import DataError
from gradsweep.records import POINT_LABELS, ROW_KEY
from gradsweep.store.frames import require_known_keys

ROUNDING = 1e-5
"""Relative difference of values that count as the same: what metrics are accurate to."""

_CURVE = ("point_id", "projection", "layer")
_STATISTICS: dict[str, pl.DataType] = {
    "mean": pl.Float64(),
    "ci_low": pl.Float64(),
    "ci_high": pl.Float64(),
    "n_samples": pl.Int64(),
}


def complete_values(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Take the values of `metric` for the samples that have one in every layer of a projection.

    A sample with a value that is missing or not finite in some layer, or in a row that failed
    its checksum (`finite` is false), is left out of that projection altogether, as in the
    paper's scripts: otherwise neighbouring layers would be means over different samples. A
    layer in which no sample at all has a value is left out instead of all samples. Values are
    those of whole matrices (`whole_matrices`). A sample whose rows are there twice, as after two
    writers, counts once.

    Columns: point_id, projection, sample_id, question_id, layer, value; sorted in that order,
    so that the order of `rows` changes nothing.

    Raises:
        DataError: rows of the same sample, projection and layer differ in a column that is not
            known here, or in their value; or a projection has rows of heads only.
    """
    rows = whole_matrices(rows)
    keys = ["point_id", "projection", "sample_id", "layer"]
    names = ["point_id", "projection", "sample_id", "question_id"]
    trusted = rows.filter("finite") if "finite" in rows.columns else rows
    valued = (
        trusted.select(*keys, "question_id", pl.col(metric).cast(pl.Float64).alias("value"))
        # Numbers in the order of the names: sorted in half the time.
        .with_columns(
            pl.col(name).cast(pl.Enum(rows[name].drop_nulls().unique().sort())) for name in names
        )
        .filter(pl.col("value").is_finite())
        .sort(*keys, "question_id", "value")
    )
    values = valued.unique(subset=keys, keep="first", maintain_order=True)
    if len(values) < len(valued):
        require_known_keys(rows, ("point_id", "sample_id"))
        _require_same_values(valued, keys, metric)
    layers_of_curve = pl.col("layer").n_unique().over("point_id", "projection")
    layers_of_sample = pl.len().over("point_id", "projection", "sample_id")
    complete = values.filter(layers_of_sample == layers_of_curve)
    return complete.select(pl.col(names).cast(pl.String), "layer", "value")


def _require_same_values(values: pl.DataFrame, keys: list[str], metric: str) -> None:
    """Refuse rows that are there twice with values further apart than rounding."""
    value = pl.col("value")
    spread = values.group_by(keys).agg(low=value.min(), high=value.max())
    apart = spread.filter(pl.col("high") - pl.col("low") > ROUNDING * pl.col("high").abs())
    if len(apart):
        first = apart.sort(keys).row(0, named=True)
        raise DataError(
            f"rows: {metric} of point {first['point_id']}, sample {first['sample_id']}, layer "
            f"{first['layer']} {first['projection']} is there as {first['low']:g} and as "
            f"{first['high']:g}; keep one row of each (sample, {', '.join(ROW_KEY)})"
        )


class HasFrame(Protocol):
    """What `gradsweep.gradient_spectra` returns, without torch."""

    def to_polars(self) -> pl.DataFrame: ...


def curves(
    rows: pl.DataFrame | HasFrame,
    metric: str = "nuclear_norm",
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    values: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Average `metric` over the samples of each point, by projection and layer (paper section 3).

    s_i = (1/n) Σ_x s_i(x) over the n samples that are complete (`complete_values`), with a
    seeded percentile bootstrap over samples (`bootstrap_interval`) around it.

    `rows` has one line per point, sample, layer and projection, as the store's reader gives it;
    or it is what `gradient_spectra` returns, or its table: one point, whose axes and id are empty.
    `values` are its `complete_values`, where they are at hand.
    Columns: `POINT_LABELS`, point_id, projection, layer, mean, ci_low,
    ci_high (in the metric's unit), n_samples. Where no sample has a value, mean and interval
    are NaN and n_samples is 0; with one sample, or `resamples=0`, only the interval is NaN.

    Raises:
        ConfigError: a metric that the rows do not have, or impossible bootstrap settings.
        DataError: columns are missing; and as `complete_values`.
    """
    rows = _rows_of_points(rows)
    require_metric(rows, metric)
    values = complete_values(rows, metric) if values is None else values
    settings = {"confidence": confidence, "resamples": resamples, "seed": seed}
    statistics = pl.DataFrame(
        [line for block in blocks(values) for line in _curve(*block, settings)],
        schema={name: rows.schema[name] for name in _CURVE} | _STATISTICS,
        orient="row",
    )
    everywhere = whole_matrices(rows).select(*POINT_LABELS, *_CURVE).unique()
    joined = everywhere.join(statistics, on=_CURVE, how="left")
    return in_reading_order(
        joined.with_columns(
            pl.col("mean", "ci_low", "ci_high").fill_null(np.nan), pl.col("n_samples").fill_null(0)
        )
    )


Block = tuple[tuple[str, str], list[int], NDArray[np.float64]]
"""point_id and projection, layers, values (samples, layers)."""


def blocks(values: pl.DataFrame) -> Iterator[Block]:
    """Cut `complete_values` at its points and projections.

    One pass over arrays: a frame for each of a thousand curves takes longer than their statistics.
    """
    names = values.select("point_id", "projection")
    starts = (names != names.shift(1)).fill_null(True).select(pl.any_horizontal(pl.all()))
    first = np.flatnonzero(starts.to_series().to_numpy())
    layer, value = values["layer"].to_numpy(), values["value"].to_numpy()
    last = np.append(first, len(values))[1:]
    for start, stop in zip(first, last, strict=True):
        of_curve = np.unique(layer[start:stop])
        point_id, projection = names.row(int(start))
        block = value[start:stop].reshape(-1, len(of_curve))
        yield (point_id, projection), of_curve.tolist(), block


def _curve(
    names: tuple[str, str],
    layers: list[int],
    values: NDArray[np.float64],
    settings: Mapping[str, Any],
) -> Iterator[tuple[Any, ...]]:
    """A line for each layer: names, layer, mean, interval, number of samples."""
    low, high = bootstrap_interval(values, **settings)
    columns = (values.mean(axis=0).tolist(), low.tolist(), high.tolist())
    for layer, *numbers in zip(layers, *columns, strict=True):
        yield (*names, layer, *numbers, len(values))


def _rows_of_points(rows: pl.DataFrame | HasFrame) -> pl.DataFrame:
    """Rows with the columns of stored ones; raises DataError where some are missing."""
    frame = rows if isinstance(rows, pl.DataFrame) else rows.to_polars()
    if "correctness" in frame.columns:
        frame = with_every_axis(frame)
    needed = (*POINT_LABELS, "sample_id", "question_id", *_CURVE)
    missing = [name for name in needed if name not in frame.columns]
    if missing and {"sample", "layer", "projection"} <= set(frame.columns):
        sample = pl.col("sample").cast(pl.String)
        of_sample = dict.fromkeys(("sample_id", "question_id"), sample)
        return frame.with_columns(**dict.fromkeys(missing, pl.lit("")) | of_sample)
    if missing:
        raise DataError(
            f"rows: the columns {', '.join(missing)} are missing; allowed are the rows of stored "
            "points (gradsweep.load_rows), and what gradsweep.gradient_spectra returns"
        )
    return frame


def curve_means(curves: pl.DataFrame) -> pl.DataFrame:
    """Average each curve over its layers: (1/L) Σ_i s_i.

    Columns: the axes, series, point_id, projection, mean, n_layers (layers that have a
    value; the mean is over these, and NaN when there are none), n_samples (behind the curve).
    """
    of_curve = [*POINT_LABELS, "point_id", "projection"]
    defined = pl.col("mean").is_finite()
    means = curves.group_by(of_curve, maintain_order=True).agg(
        pl.col("mean").filter(defined).mean().fill_null(np.nan),
        defined.sum().cast(pl.Int64).alias("n_layers"),
        pl.col("n_samples").max(),
    )
    return in_reading_order(means)
