"""Mean absolute difference (MAD) of a curve: how uneven gradients are over the layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.alike import together
from gradsweep.analysis.curves import curve_means, curves
from gradsweep.analysis.layers import PARTS, layer_parts
from gradsweep.analysis.rows import in_reading_order, lines_of_each, whole_matrices
from gradsweep.records import POINT_LABELS
from gradsweep.store.frames import metric_columns

Floats = NDArray[np.float64]


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
    layer, mean = curves["layer"].to_numpy(), curves["mean"].to_numpy()
    kinds: dict[int, tuple[int, ...]] = {}
    keys: list[tuple[Any, ...]] = []
    places: list[list[int]] = []
    for key, of_key in lines_of_each(curves, of_curve):
        kinds[len(keys)] = tuple(layer[of_key].tolist())
        keys.append(key)
        places.append(of_key)
    of_parts: dict[int, list[tuple[Any, ...]]] = {}
    for layers, alike in together(kinds, 1):
        means = _by_layer(layers, mean[np.array([places[one] for one in alike])])
        of_parts |= dict(zip(alike, _unevenness(means), strict=True))
    lines = [(*key, *part) for place, key in enumerate(keys) for part in of_parts[place]]
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


def _by_layer(layers: Sequence[int], mean: Floats) -> Floats:
    """Means of curves at their layer indices, (curves, depth); NaN where a layer has no line."""
    means = np.full((len(mean), max(layers) + 1), np.nan)
    means[:, list(layers)] = mean
    return means


def _unevenness(means: Floats) -> Iterator[list[tuple[Any, ...]]]:
    """For each of (curves, depth) a line for each part: part, mad, relative_mad, n_differences."""
    steps = np.abs(np.diff(means, axis=1))
    columns = []
    for part, (start, stop) in _steps_of_parts(means.shape[1]).items():
        mad = _means_of_finite(steps[:, start:stop])
        # One layer more than it has steps.
        level = _means_of_finite(means[:, start : stop + 1])
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = np.where(level > 0, mad / level, np.nan)
        counts = np.isfinite(steps[:, start:stop]).sum(axis=1)
        numbers = zip(mad.tolist(), relative.tolist(), counts.tolist(), strict=True)
        columns.append([(part, *line) for line in numbers])
    yield from map(list, zip(*columns, strict=True))


def _means_of_finite(values: Floats) -> Floats:
    """Means of the finite values of each line; NaN without any."""
    finite = np.isfinite(values)
    if finite.all() and values.shape[1]:
        return np.asarray(values.mean(axis=1))
    # Without the others' places: sums of more terms are grouped otherwise and round otherwise.
    return np.array(
        [one[of].mean() if of.any() else np.nan for one, of in zip(values, finite, strict=True)]
    )


def _steps_of_parts(n_layers: int) -> dict[str, tuple[int, int]]:
    """Slice of the n_layers − 1 neighbour differences that each part takes."""
    steps = {"all": (0, n_layers - 1)}
    first = 0
    for part, size in zip(PARTS, layer_parts(n_layers), strict=True):
        steps[part] = (first, max(first, first + size - 1))
        first += size
    return steps
