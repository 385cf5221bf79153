"""Effect sizes against their definitions, and the coverage of their intervals."""

from math import erf

import numpy as np
import pytest

from gradsweep.analysis.effect_sizes import effect_sizes


def test_cohen_and_hedges_by_definition():
    differences = np.random.default_rng(0).normal(0.4, 1, size=(12, 3))
    found = effect_sizes(differences, resamples=0)
    dz = differences.mean(axis=0) / differences.std(axis=0, ddof=1)
    np.testing.assert_allclose(found.cohen_dz, dz)
    np.testing.assert_allclose(found.hedges_g, dz * (1 - 3 / 43))
    assert np.isnan(found.cohen_dz_low).all()


def test_a_large_common_offset_does_not_spoil_the_spread():
    differences = np.random.default_rng(1).normal(size=(20, 1))
    found = effect_sizes(differences + 1e6, resamples=0).cohen_dz.item()
    assert found == pytest.approx(1e6 / differences.std(ddof=1), rel=1e-4)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1, 2, 3], 1),
        ([-1, -2, -3], -1),
        ([1, 2, -3], 0),
        ([3, -1, -1], 0),  # ranks 3, 1.5, 1.5
        ([0, 0, 2, -1], 1 / 3),  # zeros say nothing
    ],
)
def test_rank_biserial_by_hand(differences, expected):
    found = effect_sizes(np.array(differences, dtype=float)[:, None], resamples=0)
    assert found.rank_biserial.item() == pytest.approx(expected)


def test_an_outlier_moves_the_mean_but_not_the_ranks():
    differences = np.r_[np.linspace(0.5, 1.5, 20), -100.0][:, None]
    found = effect_sizes(differences, resamples=0)
    assert found.cohen_dz.item() < 0 < 0.8 < found.rank_biserial.item()


@pytest.mark.parametrize("name", ["cohen_dz", "rank_biserial"])
def test_intervals_cover_the_truth(name):
    replications, shift = 300, 0.5
    differences = np.random.default_rng(2).normal(shift, 1, size=(40, replications))
    found = effect_sizes(differences, resamples=400)
    # Of a normal shift δ the rank-biserial correlation is 2 Φ(√2 δ) − 1 = erf(δ).
    truth = {"cohen_dz": shift, "rank_biserial": erf(shift)}[name]
    low, high = getattr(found, f"{name}_low"), getattr(found, f"{name}_high")
    covered = np.mean((low <= truth) & (truth <= high))
    assert 0.90 <= covered <= 0.985


def test_nothing_to_say_is_nan():
    for differences in (np.empty((0, 1)), np.ones((1, 1)), np.zeros((5, 1))):
        found = effect_sizes(differences)
        assert np.isnan(found.cohen_dz).all()
        assert np.isnan(found.cohen_dz_low).all()
