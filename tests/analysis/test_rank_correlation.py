"""Rank correlations of resamples are those of the resampled cases themselves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

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
    (found,) = partial_rank_correlation(x, y, [z], np.ones((1, 12)))
    assert found == pytest.approx(expected)


def test_several_variables_are_taken_out_together_and_none_leaves_the_correlation():
    ranks = [rankdata(values) for values in (X, Y, Z, X * Z)]
    x, y, *given = ranks
    design = np.column_stack([*given, np.ones(12)])
    left = [values - design @ np.linalg.lstsq(design, values)[0] for values in (x, y)]
    (found,) = partial_rank_correlation(X, Y, [Z, X * Z], np.ones((1, 12)))
    assert found == pytest.approx(np.corrcoef(*left)[0, 1])
    twice = partial_rank_correlation(X, Y, [Z, Z], WEIGHTS)
    assert twice == pytest.approx(partial_rank_correlation(X, Y, [Z], WEIGHTS), nan_ok=True)
    alone = partial_rank_correlation(X, Y, [], WEIGHTS)
    assert alone == pytest.approx(rank_correlation(X, Y, WEIGHTS))


def test_what_another_variable_decides_alone_has_no_partial_correlation():
    one = np.ones((1, 12))
    assert np.isnan(partial_rank_correlation(X, Y, [X], one)).all()
    assert np.isnan(rank_correlation(X, np.ones(12), one)).all()
