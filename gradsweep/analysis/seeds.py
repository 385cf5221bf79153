"""How much a condition's numbers differ between seeds, which draw other questions and texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from gradsweep.analysis.conditions import conditions
from gradsweep.analysis.curves import curve_means, curves
from gradsweep.analysis.rows import with_every_axis
from gradsweep.records import POINT_LABELS

_STATISTICS = ("n_seeds", "seed_low", "seed_high")


def between_seeds(
    rows: pl.DataFrame, metric: str = "nuclear_norm", confidence: float = 0.95
) -> pl.DataFrame:
    """Compute the interval of a condition's mean over layers from its seeds alone.

    With m_k the mean of seed k over its questions and layers, and s their standard deviation, it
    is Student's interval m ± t s/√K of K seeds. A bootstrap over questions cannot know what a
    seed decides: which questions, and which irrelevant responses.

    Columns: `POINT_LABELS`, projection, n_seeds, seed_low, seed_high (in the metric's unit). Only
    conditions with two seeds and more have lines.
    """
    rows = with_every_axis(rows)
    key = [*POINT_LABELS, "projection"]
    schema = {name: rows.schema[name] for name in key}
    nothing = pl.DataFrame(
        schema=schema | {"n_seeds": pl.Int64(), "seed_low": pl.Float64(), "seed_high": pl.Float64()}
    )
    if "seed" not in rows.columns or rows["seed"].n_unique() < 2:
        return nothing
    of_seeds = [conditions(of_seed) for _, of_seed in rows.group_by("seed", maintain_order=True)]
    means = pl.concat([curve_means(curves(one, metric, resamples=0)) for one in of_seeds])
    several = (
        means.filter(pl.col("mean").is_finite())
        .group_by(key, maintain_order=True)
        .agg(n_seeds=pl.len().cast(pl.Int64), m=pl.col("mean").mean(), s=pl.col("mean").std())
        .filter(pl.col("n_seeds") > 1)
    )
    n = several["n_seeds"].to_numpy()
    half = student_half_width(several["s"].to_numpy(), n, confidence)
    centre = several["m"].to_numpy()
    return several.with_columns(seed_low=centre - half, seed_high=centre + half).select(
        *key, *_STATISTICS
    )


def student_half_width(deviation: Any, n: Any, confidence: float = 0.95) -> Any:
    """Return half of Student's interval of a mean: t s/√n of n values with standard deviation s.

    Args:
        deviation: s, with n − 1 degrees of freedom; a number or an array.
        n: at least two; of the same shape.
        confidence: of the interval.
    """
    from scipy.special import stdtrit  # takes a quarter of a second, and most have one seed

    return stdtrit(n - 1, (1 + confidence) / 2) * deviation / np.sqrt(n)
