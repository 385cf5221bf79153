"""Curves: a metric's mean over samples, by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.alike import together
from gradsweep.analysis.bootstrap import bootstrap_interval
from gradsweep.analysis.complete import CurveValues, SortedRows
from gradsweep.analysis.rows import (
    in_reading_order,
    require_metric,
    whole_matrices,
    with_every_axis,
)
from gradsweep.errors import DataError
from gradsweep.records import POINT_LABELS

Floats = NDArray[np.float64]

_CURVE = ("point_id", "projection", "layer")
_STATISTICS: dict[str, pl.DataType] = {
    "mean": pl.Float64(),
    "ci_low": pl.Float64(),
    "ci_high": pl.Float64(),
    "n_samples": pl.Int64(),
}


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
) -> pl.DataFrame:
    """Average `metric` over the samples of each point, by projection and layer (paper section 3).

    s_i = (1/n) Σ_x s_i(x) over the n samples that are complete (`complete_values`), with a
    seeded percentile bootstrap over samples (`bootstrap_interval`) around it.

    `rows` has one line per point, sample, layer and projection, as the store's reader gives it;
    or it is what `gradient_spectra` returns, or its table: one point, whose axes and id are empty.
    Columns: `POINT_LABELS`, point_id, projection, layer, mean, ci_low,
    ci_high (in the metric's unit), n_samples. Where no sample has a value, mean and interval
    are NaN and n_samples is 0; with one sample, or `resamples=0`, only the interval is NaN.

    Raises:
        ConfigError: a metric that the rows do not have, or impossible bootstrap settings.
        DataError: columns are missing; and as `complete_values`.
    """
    rows = _rows_of_points(rows)
    require_metric(rows, metric)
    settings = {"confidence": confidence, "resamples": resamples, "seed": seed}
    return curves_of_values(places_of_curves(rows), SortedRows(rows).curves(metric), settings)


def places_of_curves(rows: pl.DataFrame) -> pl.DataFrame:
    """List the layers that `rows` have, whatever the metric: `POINT_LABELS`, point_id, projection
    and layer, in reading order.

    Raises:
        DataError: a projection with rows of single heads only.
    """
    return in_reading_order(whole_matrices(rows).select(*POINT_LABELS, *_CURVE).unique())


def curves_of_values(
    places: pl.DataFrame, values: Sequence[CurveValues], settings: Mapping[str, Any]
) -> pl.DataFrame:
    """Compute `curves` of complete values.

    Args:
        places: of `places_of_curves`.
        values: of the metric.
        settings: confidence, resamples and seed of the bootstrap.
    """
    statistics = _statistics(values, settings, places.schema["layer"])
    joined = places.join(statistics, on=_CURVE, how="left", maintain_order="left")
    return joined.with_columns(
        pl.col("mean", "ci_low", "ci_high").fill_null(np.nan), pl.col("n_samples").fill_null(0)
    )


def _statistics(
    found: Sequence[CurveValues], settings: Mapping[str, Any], layer: pl.DataType
) -> pl.DataFrame:
    """A line for each layer of each curve: names, layer, mean, interval, number of samples."""
    ends: dict[int, tuple[Floats, Floats]] = {}
    shapes = {place: one.values.shape for place, one in enumerate(found)}
    longest = max((len(one.layers) for one in found), default=1)
    for _, places in together(shapes, settings["resamples"] * longest):
        values = np.stack([found[place].values for place in places])
        ends |= zip(places, zip(*bootstrap_interval(values, **settings), strict=True), strict=True)
    of_layers = [one for one in found for _ in one.layers]
    return pl.DataFrame(
        {
            "point_id": [one.point_id for one in of_layers],
            "projection": [one.projection for one in of_layers],
            "layer": [layer for one in found for layer in one.layers],
            "mean": _joined([one.values.mean(axis=0) for one in found]),
            "ci_low": _joined([ends[place][0] for place in range(len(found))]),
            "ci_high": _joined([ends[place][1] for place in range(len(found))]),
            "n_samples": [len(one.values) for one in of_layers],
        },
        schema={"point_id": pl.String(), "projection": pl.String(), "layer": layer} | _STATISTICS,
    )


def _joined(arrays: list[Floats]) -> Floats:
    return np.concatenate([np.empty(0), *arrays])


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
