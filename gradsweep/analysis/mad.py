"""Mean absolute difference (MAD) of a curve: how uneven gradients are over the layers."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.conditions import in_reading_order
from gradsweep.analysis.layers import PARTS, layer_parts
from gradsweep.records import AXES


def mean_absolute_difference(curves: pl.DataFrame) -> pl.DataFrame:
    """MAD of each mean curve, over all layers and inside each part (paper section 3).

    MAD = 1/(L−1) Σ_{i=0}^{L−2} |s_{i+1} − s_i| for `all`. A part with layers a..b−1 takes the
    b−a−1 differences between two of its own layers; the steps from early to middle and from
    middle to late belong to no part, so the parts do not average to `all`. This is how the
    paper cuts. Sizes of the parts: `layer_parts`.

    `curves` is the result of `gradsweep.analysis.curves`. Columns: the axes, point_id,
    projection, part (all, early, middle, late), mad (in the metric's unit), n_differences.
    Differences with a layer that has no value are left out and not counted; with none left
    (one layer, say) mad is NaN and n_differences 0.
    """
    of_curve = [*AXES, "point_id", "projection"]
    found = []
    for key, curve in curves.group_by(of_curve, maintain_order=True):
        steps = np.abs(np.diff(_by_layer(curve)))
        for part, (start, stop) in _steps_of_parts(len(steps) + 1).items():
            defined = steps[start:stop][np.isfinite(steps[start:stop])]
            mad = float(defined.mean()) if len(defined) else np.nan
            found.append((*key, part, mad, len(defined)))
    schema = {name: curves.schema[name] for name in of_curve}
    schema |= {"part": pl.String(), "mad": pl.Float64(), "n_differences": pl.Int64()}
    return in_reading_order(pl.DataFrame(found, schema=schema, orient="row"))


def _by_layer(curve: pl.DataFrame) -> NDArray[np.float64]:
    """The curve's means at their layer indices; NaN where a layer has no line."""
    means = np.full(int(curve["layer"].to_numpy().max()) + 1, np.nan)
    means[curve["layer"].to_numpy()] = curve["mean"].to_numpy()
    return means


def _steps_of_parts(n_layers: int) -> dict[str, tuple[int, int]]:
    """Slice of the n_layers − 1 neighbour differences that each part takes."""
    steps = {"all": (0, n_layers - 1)}
    first = 0
    for part, size in zip(PARTS, layer_parts(n_layers), strict=True):
        steps[part] = (first, max(first, first + size - 1))
        first += size
    return steps
