"""Intervals of means, MAD and RD: their curves over resampled questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from gradsweep.analysis.resampling import STATISTICS, Resampled, ends_of, interval


def part_intervals(curves: Resampled) -> pl.DataFrame:
    """Compute 95 % intervals of the mean, of MAD and of MAD over the mean, by part of the layers.

    They are percentiles over resampled questions. MAD takes absolute values, so noise makes it
    larger, and more so in a resample: an interval that lies above its own value says that most of
    it is noise.

    Columns: point_id, projection, part, and `_low` and `_high` of mean, mad and relative_mad. NaN
    with a single question.
    """
    of_curves: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for group in curves.alike:
        found = ends_of(np.stack(list(group.statistics.values()), axis=-1), group.n_questions)
        of_curve = dict(zip(group.statistics, np.moveaxis(found, -1, 0).tolist(), strict=True))
        parts = dict.fromkeys(part for part, _ in of_curve)
        for place, curve in enumerate(group.names):
            of_curves[curve] = [
                (*curve, part, *(end[place] for kind in STATISTICS for end in of_curve[part, kind]))
                for part in parts
            ]
    lines = [line for curve in curves.of_point for line in of_curves[curve]]
    names = [f"{name}_{end}" for name in STATISTICS for end in ("low", "high")]
    return _frame(("point_id", "projection", "part"), names, lines)


def difference_intervals(curves: Resampled, differences: pl.DataFrame) -> pl.DataFrame:
    """Compute 95 % intervals of RD by layer, and of its mean over layers (where layer is null).

    `differences` is the result of `relative_difference`, of the same rows. RD takes absolute
    values: what `part_intervals` says of MAD holds here.

    Columns: point_id (the correct one's), projection, layer, rd_low, rd_high.
    """
    pairs = differences.select("point_id", "irrelevant_point_id", "projection")
    lines: list[tuple[Any, ...]] = []
    for (first, _, projection), found in curves.paired(
        pairs.unique(maintain_order=True).iter_rows()
    ).items():
        for layer, *ends in zip(found.layers, *found.ends.tolist(), strict=True):
            lines.append((first, projection, layer, *ends))
        over_layers = interval(found.over_layers, found.n_questions)
        lines.append((first, projection, None, *over_layers))
    frame = _frame(("point_id", "projection", "layer"), ("rd_low", "rd_high"), lines)
    return frame.with_columns(pl.col("layer").cast(pl.Int64).cast(differences.schema["layer"]))


def _frame(
    keys: Sequence[str], numbers: Sequence[str], lines: Sequence[tuple[Any, ...]]
) -> pl.DataFrame:
    schema: dict[str, Any] = {name: pl.String() for name in keys}
    schema |= {"layer": pl.Int64()} if "layer" in keys else {}
    return pl.DataFrame(lines, schema | dict.fromkeys(numbers, pl.Float64()), orient="row")
