"""How large a paired difference is, whatever the metric's unit, with bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import quantiles_over_resamples, resampling_weights

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EffectSizes:
    """Effect sizes of paired differences, (columns,) each; NaN where one is not defined."""

    cohen_dz: Floats
    """Mean over standard deviation (n − 1) of the differences (Cohen, 1988)."""
    cohen_dz_low: Floats
    cohen_dz_high: Floats
    hedges_g: Floats
    """d_z without its small-sample bias: d_z (1 − 3 / (4 (n − 1) − 1)) (Hedges, 1981)."""
    rank_biserial: Floats
    """(W⁺ − W⁻) / (W⁺ + W⁻) with the signed-rank sums W (Kerby, 2014): from −1 to 1, and
    unmoved by outliers. Differences of zero are left out."""
    rank_biserial_low: Floats
    rank_biserial_high: Floats


def effect_sizes(
    differences: Floats, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> EffectSizes:
    """Compute effect sizes of `differences` (n questions, columns), second condition minus first.

    Intervals are percentile bootstraps over questions, NaN for fewer than two questions and
    when `resamples` is 0. d_z is NaN where all differences are equal.
    """
    n_questions, n_columns = differences.shape
    observed = np.ones((1, n_questions))
    dz = cohen_dz(differences, observed)[0]
    rank = _rank_biserials(differences, observed)[0]
    bounds = [np.full((2, n_columns), np.nan)] * 2
    if n_questions > 1 and resamples:
        weights = resampling_weights(n_questions, resamples, seed)
        tails = ((1 - confidence) / 2, (1 + confidence) / 2)
        bounds = [
            quantiles(statistic(differences, weights), tails)
            for statistic in (cohen_dz, _rank_biserials)
        ]
    (dz_low, dz_high), (rank_low, rank_high) = bounds
    hedges = _hedges(dz, n_questions)
    return EffectSizes(dz, dz_low, dz_high, hedges, rank, rank_low, rank_high)


def quantiles(values: Floats, probabilities: tuple[float, ...]) -> Floats:
    """Compute quantiles over the first axis of the resamples in which the statistic is defined.

    A resample may draw one question n times, which has no spread. NaN where none is defined.
    """
    if len(values) and np.isfinite(values).all():  # the same, sooner
        columns = values.reshape(len(values), -1)
        found = quantiles_over_resamples(columns, probabilities)
        return found.reshape(len(probabilities), *values.shape[1:])
    finite = np.where(np.isfinite(values), values, np.nan)
    results = np.full((len(probabilities), *values.shape[1:]), np.nan)
    defined = ~np.isnan(finite).all(axis=0)
    results[:, defined] = np.nanquantile(finite[:, defined], probabilities, axis=0)
    return results


def cohen_dz(differences: Floats, weights: Floats) -> Floats:
    """Compute d_z with every question counted `weights` times, (resamples, questions).

    The result is (resamples, columns); NaN where the differences have no spread.
    """
    totals = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = differences.mean(axis=0) if len(differences) else 0.0
        # Around their mean, so that the subtraction below does not cancel.
        shifted = differences - centre
        means = weights @ shifted / totals
        variances = (weights @ shifted**2 - totals * means**2) / (totals - 1)
        tiny = np.finfo(float).eps * np.square(differences).max(axis=0, initial=0)
        spread = np.sqrt(np.where(variances > tiny, variances, np.nan))
        return (means + centre) / spread


def _hedges(dz: Floats, n_questions: int) -> Floats:
    if n_questions < 3:
        return np.full_like(dz, np.nan)
    return dz * (1 - 3 / (4 * (n_questions - 1) - 1))


def _rank_biserials(differences: Floats, weights: Floats) -> Floats:
    columns = [_rank_biserial(column, weights) for column in differences.T]
    return np.stack(columns, axis=1) if columns else np.empty((len(weights), 0))


def _rank_biserial(differences: Floats, weights: Floats) -> Floats:
    """Compute one column (questions,): (resamples,). Copies of a question share its mid-rank."""
    counted = np.flatnonzero(differences)
    if not len(counted):
        return np.full(len(weights), np.nan)
    order = counted[np.argsort(np.abs(differences[counted]), kind="stable")]
    sizes = np.abs(differences[order])
    starts = np.flatnonzero(np.r_[True, sizes[1:] != sizes[:-1]])
    copies = np.add.reduceat(weights[:, order], starts, axis=1)
    positive = np.add.reduceat(weights[:, order] * (differences[order] > 0), starts, axis=1)
    ranks = np.cumsum(copies, axis=1) - copies + (copies + 1) / 2
    with np.errstate(invalid="ignore"):
        share = (ranks * positive).sum(axis=1) / (ranks * copies).sum(axis=1)
    return 2 * share - 1
