"""Mean absolute difference (MAD) of a curve: how uneven gradients are over the layers."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.curves import curve_means, curves
from gradsweep.analysis.layers import PARTS, layer_parts
from gradsweep.analysis.rows import in_reading_order, lines_of_each, whole_matrices
from gradsweep.records import POINT_LABELS
from gradsweep.store.frames import metric_columns


def mean_absolute_difference(curves: pl.DataFrame) -> pl.DataFrame:
    """Compute the MAD of each mean curve, over all layers and inside each part (paper section 3).

    MAD = 1/(L−1) Σ_{i=0}^{L−2} |s_{i+1} − s_i| for `all`. A part with layers a..b−1 takes the
    b−a−1 differences between two of its own layers; the steps from early to middle and from
    middle to late belong to no part, so the parts do not average to `all`. This is how the
    paper cuts. Sizes of the parts: `layer_parts`.

    `curves` is the result of `gradsweep.analysis.curves`. Columns: the axes, series, point_id,
    projection, part (all, early, middle, late), mad (in the metric's unit), relative_mad (mad over
    the mean of the part's layers: what is left of it where curves differ in scale alone),
    n_differences. Differences with a layer that has no value are left out and not counted; with
    none left (one layer, say) mad is NaN and n_differences 0. relative_mad is NaN where the mean
    is not positive, too.
    """
    of_curve = [*POINT_LABELS, "point_id", "projection"]
    lines = []
    layer, mean = curves["layer"].to_numpy(), curves["mean"].to_numpy()
    for key, of_key in lines_of_each(curves, of_curve):
        means = _by_layer(layer[of_key], mean[of_key])
        steps = np.abs(np.diff(means))
        for part, (start, stop) in _steps_of_parts(len(means)).items():
            mad, n_differences = _mean_of_finite(steps[start:stop])
            # One layer more than it has steps.
            level, _ = _mean_of_finite(means[start : stop + 1])
            relative = mad / level if level > 0 else np.nan
            lines.append((*key, part, mad, relative, n_differences))
    schema = {name: curves.schema[name] for name in of_curve}
    schema |= {"part": pl.String(), "mad": pl.Float64(), "relative_mad": pl.Float64()}
    schema["n_differences"] = pl.Int64()
    return in_reading_order(pl.DataFrame(lines, schema=schema, orient="row"))


def summary_scalars(rows: pl.DataFrame) -> dict[str, float]:
    """Sum one point's rows up: `<metric>_mean_<projection>` and `mad_<metric>_<projection>`.

    Means are over layers of the mean curve (`curves`), for every metric that the rows have. A
    metric without any value in a projection (a cosine that was not asked for) has no scalars, nor
    has a projection of which only single heads were measured.
    `rows` needs no columns for point and axes.
    """
    of_one_point = whole_matrices(rows, strict=False).with_columns(
        pl.lit("").alias(name) for name in ("point_id", *POINT_LABELS)
    )
    scalars: dict[str, float] = {}
    for metric in metric_columns(rows):
        has_value = pl.col(metric).cast(pl.Float64).is_finite()
        valued = of_one_point.filter(has_value)
        if valued.is_empty():
            continue
        curve = curves(valued, metric, resamples=0)
        for row in curve_means(curve).iter_rows(named=True):
            scalars[f"{metric}_mean_{row['projection']}"] = row["mean"]
        unevenness = mean_absolute_difference(curve).filter(part="all")
        for row in unevenness.iter_rows(named=True):
            scalars[f"mad_{metric}_{row['projection']}"] = row["mad"]
    return scalars


def _by_layer(layers: NDArray[np.int64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """The curve's means at their layer indices; NaN where a layer has no line."""
    means = np.full(int(layers.max()) + 1, np.nan)
    means[layers] = mean
    return means


def _mean_of_finite(values: NDArray[np.float64]) -> tuple[float, int]:
    """The mean of the finite values, NaN without any, and their number."""
    finite = values[np.isfinite(values)]
    return (float(finite.mean()) if len(finite) else np.nan), len(finite)


def _steps_of_parts(n_layers: int) -> dict[str, tuple[int, int]]:
    """Slice of the n_layers − 1 neighbour differences that each part takes."""
    steps = {"all": (0, n_layers - 1)}
    first = 0
    for part, size in zip(PARTS, layer_parts(n_layers), strict=True):
        steps[part] = (first, max(first, first + size - 1))
        first += size
    return steps
