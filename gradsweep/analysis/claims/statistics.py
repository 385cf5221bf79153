"""Statistics of matched conditions, for the observed sample and every resample at once.

Each takes names of conditions and gives (1 + resamples,). Ratios are logarithms, so that they
can be averaged; all are means over projections, whose scales differ.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gradsweep.analysis.claims.matched import Matched
from gradsweep.analysis.effect_sizes import cohen_dz
from gradsweep.analysis.layers import layer_parts

Floats = NDArray[np.float64]


def log_ratio_of_means(matched: Matched, above: str, below: str) -> Floats:
    """Compute the log of the ratio of two curves' means over layers."""
    return _mean(
        _log(one.mean(axis=1)) - _log(other.mean(axis=1))
        for one, other in zip(matched.curves(above), matched.curves(below), strict=True)
    )


def log_ratio_of_mads(matched: Matched, above: str, below: str) -> Floats:
    """Compute the log of the ratio of two curves' MAD (paper section 3)."""
    return _mean(
        _log(_mad(one, layers)) - _log(_mad(other, layers))
        for one, other, layers in zip(
            matched.curves(above), matched.curves(below), matched.layers, strict=True
        )
    )


def log_ratio_of_relative_mads(matched: Matched, above: str, below: str) -> Floats:
    """Compute the log of the ratio of two curves' MAD over their means: unmoved by scale."""
    mads = log_ratio_of_mads(matched, above, below)
    return mads - log_ratio_of_means(matched, above, below)


def early_excess(matched: Matched, above: str, below: str) -> Floats:
    """Compute how much larger the gap of two curves is in early layers than in the others.

    It is in units of the upper curve's mean over layers; `layer_parts` cuts the layers.
    """
    excess = []
    curves = zip(matched.curves(above), matched.curves(below), matched.layers, strict=True)
    for one, other, layers in curves:
        gap = (one - other) / one.mean(axis=1, keepdims=True)
        excess.append(_part(gap, layers, "early") - _part(gap, layers, "rest"))
    return _mean(excess)


def separation(matched: Matched, correct: str, irrelevant: str, part: str = "all") -> Floats:
    """Compute RD between correct and irrelevant responses, without what noise alone would give.

    RD (paper section 3) is positive for noise too, and the more so the fewer the questions, so
    that levels of different noise cannot be compared by it. Its square (s − s')²/s² is a sum
    over pairs of questions, and noise enters only through pairs of a question with itself:
    with d the paired differences and w the weights, [(Σwd)² − Σ(wd)²] / [(Σw)² − Σw²] leaves
    these out and is unbiased for (s − s')². The mean over the layers of `part` (all, early,
    middle, late, or rest: all but the early ones) and projections, with the root taken of its
    size and the sign kept: below zero it is less than noise would give.
    """
    squares = zip(matched.squared_differences(correct, irrelevant), matched.layers, strict=True)
    with np.errstate(invalid="ignore"):
        mean = _mean(_part(squared, layers, part) for squared, layers in squares)
        return np.sign(mean) * np.sqrt(np.abs(mean))


def paired_effect_size(matched: Matched, first: str, second: str) -> Floats:
    """Compute Cohen's d_z of second minus first over questions.

    A question's value is its mean over layers and projections, each projection in units of the
    first condition's mean.
    """
    differences = _mean(
        (other - one).mean(axis=1) / one.mean()
        for one, other in zip(matched.values[first], matched.values[second], strict=True)
    )
    return cohen_dz(differences[:, None], matched.weights[first])[:, 0]


def _mean(arrays: Iterable[Floats]) -> Floats:
    return np.mean(list(arrays), axis=0)


def _log(values: Floats) -> Floats:
    """Natural logarithm; NaN where there is none."""
    return np.log(np.where(values > 0, values, np.nan))


def _mad(curve: Floats, layers: tuple[int, ...]) -> Floats:
    """Mean absolute difference over the layers that are next to each other."""
    return _mean_of(np.abs(np.diff(curve, axis=1)), np.diff(layers) == 1)


def _part(values: Floats, layers: tuple[int, ...], part: str) -> Floats:
    early, middle, _ = layer_parts(max(layers) + 1)
    places = np.array(layers)
    chosen = {
        "all": places >= 0,
        "early": places < early,
        "middle": (places >= early) & (places < early + middle),
        "late": places >= early + middle,
        "rest": places >= early,
    }
    return _mean_of(values, chosen[part])


def _mean_of(values: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """Mean over the chosen layers; NaN when a model has none there."""
    return values[:, chosen].mean(axis=1) if chosen.any() else np.full(len(values), np.nan)
