"""How well a number tells irrelevant responses from correct ones, alone and beside others."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROUNDING = 1e-9
"""Differences that are smaller than this share of a signal's spread are none."""


def right(correct: Floats, irrelevant: Floats) -> Floats:
    """Score each question: 1 where its irrelevant response has the larger signal, ½ for no
    difference, else 0. Arguments and result are (questions,)."""
    spread = np.concatenate([correct, irrelevant]).std()
    difference = irrelevant - correct
    return np.where(np.abs(difference) <= ROUNDING * spread, 0.5, difference > 0).astype(float)


def share(scores: Floats, resamples: int) -> Floats:
    """Lay out the mean of scores and its Jeffreys interval as an estimate is laid out.

    A bootstrap of 16 right out of 16 has no width; the interval of Beta(k + ½, n − k + ½) has
    (Brown, Cai & DasGupta, 2001).

    Returns:
        (1 + resamples,): the mean, then quantiles of the Beta distribution, evenly spaced.
    """
    return _jeffreys(float(scores.sum()), len(scores), resamples)


# Of few questions there are few scores, and the quantiles take most of a large report's time.
@lru_cache(maxsize=1000)
def _jeffreys(right_ones: float, n: int, resamples: int) -> Floats:
    from scipy.special import betaincinv  # takes a quarter of a second

    levels = (np.arange(resamples) + 0.5) / resamples
    quantiles = betaincinv(right_ones + 0.5, n - right_ones + 0.5, levels)
    found = np.concatenate([[right_ones / n], quantiles])
    found.flags.writeable = False
    return found


def area_under_curve(correct: Floats, irrelevant: Floats, weights: Floats) -> Floats:
    """Compute the area under the ROC curve over all pairs of a correct and an irrelevant response.

    It is the share of pairs, of whatever questions, in which the irrelevant one has the larger
    signal; no difference counts half.

    Returns:
        (1 + resamples,)
    """
    order = np.argsort(correct)
    # Counts and halves of them are exact in any order of addition: no number depends on the way.
    counts = weights.T
    below = np.zeros((len(correct) + 1, len(weights)))
    np.cumsum(counts[order], axis=0, out=below[1:])
    ends = [np.searchsorted(correct[order], irrelevant, side) for side in ("left", "right")]
    smaller, not_larger = (below[np.where(np.isnan(irrelevant), 0, end)] for end in ends)
    pairs = (0.5 * (smaller + not_larger) * counts).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(pairs / weights.sum(axis=1) ** 2)


def without(
    signal: tuple[Floats, Floats], others: list[tuple[Floats, Floats]]
) -> tuple[Floats, Floats] | None:
    """Take what others explain out of a signal, of correct and irrelevant responses together.

    The signal is regressed on each of the others and its square, over samples of both kinds. What
    is left of a question's two responses is what a regression without this question does not
    explain.

    Args:
        signal: of correct and of irrelevant responses, (questions,) each.
        others: the same of what is taken out.

    Returns:
        The same of what is left; None with too few questions for the regression.
    """
    n = len(signal[0])
    y = np.concatenate(signal)
    columns = [np.ones(2 * n)]
    for other in others:
        x = np.concatenate(other)
        if x.std() > ROUNDING * max(1.0, float(np.abs(x).max())):
            scaled = (x - x.mean()) / x.std()
            columns += [scaled, scaled**2]
    design = np.column_stack(columns)
    if n < 2 * design.shape[1]:
        return None
    hat = design @ np.linalg.pinv(design)
    left = (y - hat @ y).reshape(2, n).T
    places = np.stack([np.arange(n), np.arange(n) + n], axis=1)
    own = hat[places[:, :, None], places[:, None, :]]
    found = np.einsum("qij,qj->qi", np.linalg.pinv(np.eye(2) - own), left)
    # What is left of an exact fit is rounding, which has a sign, too.
    found[np.abs(found) <= ROUNDING * y.std()] = 0.0
    return found[:, 0], found[:, 1]
