"""Rank correlations of a sample and of all its resamples at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def rank_correlation(first: Floats, second: Floats, weights: Floats) -> Floats:
    """Compute Spearman's ρ of two variables (n,) with every case counted `weights` times.

    Equal values, copies of a case among them, share their mid-rank.

    Args:
        first: one variable, (n,).
        second: the other, (n,).
        weights: how often each case counts, (resamples, n); all ones give the sample's own ρ.

    Returns:
        (resamples,); NaN where a variable has one value alone.
    """
    return _correlation(_ranks(first, weights), _ranks(second, weights), weights)


def partial_rank_correlation(
    first: Floats, second: Floats, given: Floats, weights: Floats
) -> Floats:
    """Compute Spearman's partial ρ of two variables given a third (Kendall, 1942).

    (ρ_xy − ρ_xz ρ_yz) / √((1 − ρ_xz²)(1 − ρ_yz²)): what is left of their correlation when each is
    predicted by the ranks of z as well as a line can. Arguments and result as `rank_correlation`;
    NaN, too, where z alone decides one of the two.
    """
    x, y, z = (_ranks(values, weights) for values in (first, second, given))
    of_both = _correlation(x, y, weights)
    with_x, with_y = _correlation(x, z, weights), _correlation(y, z, weights)
    left = (1 - with_x**2) * (1 - with_y**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        partial = (of_both - with_x * with_y) / np.sqrt(np.where(left > 1e-12, left, np.nan))
    return np.clip(partial, -1, 1)


def _ranks(values: Floats, weights: Floats) -> Floats:
    """Mid-ranks in each resample, (resamples, n)."""
    below = weights @ (values[:, None] < values[None, :])
    equal = weights @ (values[:, None] == values[None, :])
    return np.asarray(below + (equal + 1) / 2)


def _correlation(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Pearson's r of (resamples, n) with weights: (resamples,)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        totals = weights.sum(axis=1, keepdims=True)
        dx = x - (weights * x).sum(axis=1, keepdims=True) / totals
        dy = y - (weights * y).sum(axis=1, keepdims=True) / totals
        spread = (weights * dx**2).sum(axis=1) * (weights * dy**2).sum(axis=1)
        # Ranks are halves of whole numbers: what is below is rounding.
        return (weights * dx * dy).sum(axis=1) / np.sqrt(np.where(spread > 1e-9, spread, np.nan))
