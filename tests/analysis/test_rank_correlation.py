"""Rank correlations of resamples are those of the resampled cases themselves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from gradsweep.analysis.rank_correlation import partial_rank_correlation, rank_correlation

CASES = np.random.default_rng(3)
X, Z = CASES.normal(size=(2, 12)).round(1)
Y = (X + CASES.normal(size=12)).round(1)
WEIGHTS = np.concatenate([np.ones((1, 12)), CASES.poisson(1.0, (20, 12))])


def test_a_weight_is_a_number_of_copies_with_shared_ranks():
    found = rank_correlation(X, Y, WEIGHTS)
    for weights, value in zip(WEIGHTS, found, strict=True):
        drawn = np.repeat(np.arange(12), weights.astype(int))
        assert value == pytest.approx(spearmanr(X[drawn], Y[drawn]).statistic)


def test_a_partial_correlation_is_that_of_what_a_line_in_the_ranks_leaves():
    ranks = [np.argsort(np.argsort(values)).astype(float) for values in (X + 1e-3 * Y, Y, Z)]
    x, y, z = ranks
    left = [values - np.polyval(np.polyfit(z, values, 1), z) for values in (x, y)]
    expected = np.corrcoef(*left)[0, 1]
    (found,) = partial_rank_correlation(x, y, z, np.ones((1, 12)))
    assert found == pytest.approx(expected)


def test_what_another_variable_decides_alone_has_no_partial_correlation():
    one = np.ones((1, 12))
    assert np.isnan(partial_rank_correlation(X, Y, X, one)).all()
    assert np.isnan(rank_correlation(X, np.ones(12), one)).all()
