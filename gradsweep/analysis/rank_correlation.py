"""Rank correlations of a sample and of all its resamples at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

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
    first: Floats, second: Floats, given: Sequence[Floats], weights: Floats
) -> Floats:
    """Compute Spearman's partial ρ of two variables given others (Kendall, 1942).

    What is left of their correlation when each is predicted by the ranks of the others as well as
    a linear function can: with R the matrix of all ranks' correlations, S = R_xy − R_xz R_zz⁺ R_zy
    of x and y, S₀₁/√(S₀₀S₁₁). Given none, it is `rank_correlation`.

    Args:
        first: one variable, (n,).
        second: the other, (n,).
        given: the others, (n,) each.
        weights: how often each case counts, (resamples, n).

    Returns:
        (resamples,); NaN where a variable has one value alone, or the others decide one of the
        two.
    """
    ranks = [_ranks(values, weights) for values in (first, second, *given)]
    of_all = np.ones((len(weights), len(ranks), len(ranks)))
    for i, j in combinations(range(len(ranks)), 2):
        of_all[:, i, j] = of_all[:, j, i] = _correlation(ranks[i], ranks[j], weights)
    known = np.isfinite(of_all).all(axis=(1, 2))
    partial = np.full(len(weights), np.nan)
    partial[known] = _left(of_all[known])
    return partial


def _left(of_all: Floats) -> Floats:
    """The correlation of the first two given the rest, of (resamples, k, k) matrices."""
    with_others = of_all[:, :2, 2:]
    explained = with_others @ np.linalg.pinv(of_all[:, 2:, 2:], hermitian=True)
    rest = of_all[:, :2, :2] - explained @ with_others.transpose(0, 2, 1)
    spread = rest[:, 0, 0] * rest[:, 1, 1]
    with np.errstate(invalid="ignore"):
        found = rest[:, 0, 1] / np.sqrt(np.where(spread > 1e-12, spread, np.nan))
    return np.asarray(np.clip(found, -1, 1))


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
