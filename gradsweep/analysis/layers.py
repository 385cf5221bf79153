"""Early, middle and late layers (paper section 3, the parts of the MAD tables)."""

from __future__ import annotations

import numpy as np
import polars as pl

from gradsweep.analysis.rows import in_reading_order
from gradsweep.records import POINT_LABELS

PARTS = ("early", "middle", "late")

_PAPER_PARTS = {26: (7, 13, 6), 28: (7, 14, 7), 32: (10, 10, 12), 42: (12, 18, 12)}
"""The paper's cuts by number of layers: Gemma-2-2b, Qwen2-1.5B, the Llamas, Gemma-2-9b."""


def layer_parts(n_layers: int) -> tuple[int, int, int]:
    """Cut a model into (early, middle, late) layers; the numbers sum to `n_layers`.

    The paper's cuts where it has a model of that depth, otherwise thirds with the remainder in
    the middle: 30 gives 10, 10, 10 and 16 gives 5, 6, 5.
    """
    if n_layers < 1:
        raise ValueError(f"n_layers must be at least 1, got {n_layers}")
    third = n_layers // 3
    return _PAPER_PARTS.get(n_layers, (third, n_layers - 2 * third, third))


def part_of_each_layer(n_layers: int) -> list[str]:
    """Name the part of every layer of a model: early, middle or late, as `layer_parts` cuts."""
    sizes = zip(PARTS, layer_parts(n_layers), strict=True)
    return [part for part, size in sizes for _ in range(size)]


def part_means(curves: pl.DataFrame) -> pl.DataFrame:
    """Average each curve over all layers and over the layers of each part.

    `curves` is the result of `gradsweep.analysis.curves`. Columns: the axes, series, point_id,
    projection, part (all, early, middle, late), mean (in the metric's unit), n_layers (layers
    that have a value: the mean is over these, and NaN when there are none), n_samples (behind
    the curve). A part without layers, in a model of one or two, has no line.
    """
    of_curve = [*POINT_LABELS, "point_id", "projection"]
    depth = (pl.col("layer").max() + 1).over(of_curve)
    with_depth = curves.with_columns(depth=depth)
    parts = pl.concat(
        [_parts_of_layers(n_layers, curves.schema) for n_layers in with_depth["depth"].unique()]
        or [_parts_of_layers(1, curves.schema)]
    )
    defined = pl.col("mean").is_finite()
    means = (
        with_depth.join(parts, on=("depth", "layer"))
        .group_by(*of_curve, "part", maintain_order=True)
        .agg(
            pl.col("mean").filter(defined).mean().fill_null(np.nan),
            defined.sum().cast(pl.Int64).alias("n_layers"),
            pl.col("n_samples").max(),
        )
    )
    return in_reading_order(means)


def _parts_of_layers(n_layers: int, schema: pl.Schema) -> pl.DataFrame:
    """Columns depth, layer, part: every layer once in `all` and once in its own part."""
    of_layer = part_of_each_layer(n_layers)
    lines = [(n_layers, layer, part) for layer, own in enumerate(of_layer) for part in ("all", own)]
    kind = schema["layer"]
    return pl.DataFrame(lines, {"depth": kind, "layer": kind, "part": pl.String()}, orient="row")
