"""Change points: a planted one is found, and none in curves that have none, at the stated rate."""

from __future__ import annotations

import numpy as np
import pytest

from gradsweep.analysis.open_questions.change_point import change_point

DOSES = np.log2(1 + np.array([0, 1, 2, 4, 8, 16]))
FLAT = np.zeros(6)
LINE = -0.3 * DOSES
SETTLES = -0.5 * np.minimum(DOSES, DOSES[2])


def resampled(
    truth: np.ndarray, seed: int, n_questions: int = 20, noise: float = 0.3
) -> np.ndarray:
    """Mean curves of questions and of 200 bootstrap resamples of them, (201, doses)."""
    rng = np.random.default_rng(seed)
    own = rng.normal(0, 1, (n_questions, 1))
    curves = truth + own + rng.normal(0, noise, (n_questions, len(truth)))
    weights = rng.poisson(1, (200, n_questions))
    means = weights @ curves / weights.sum(axis=1, keepdims=True)
    return np.vstack([curves.mean(axis=0), means])


def test_a_planted_change_point_is_recovered():
    found = [change_point(resampled(SETTLES, seed), DOSES) for seed in range(50)]
    assert np.mean([one.place == 2 for one in found]) > 0.9
    assert np.mean([one.p_value < 0.05 for one in found]) > 0.9
    ends = [np.quantile(one.places, (0.025, 0.975), method="nearest") for one in found]
    assert np.mean([low <= 2 <= high for low, high in ends]) >= 0.95


@pytest.mark.parametrize("truth", [FLAT, LINE], ids=["flat", "line"])
def test_none_is_found_where_there_is_none_at_the_stated_rate(truth: np.ndarray):
    found = [change_point(resampled(truth, seed), DOSES).p_value < 0.05 for seed in range(200)]
    assert np.mean(found) <= 0.08


def test_an_exact_line_has_no_change_point():
    curves = np.tile(LINE, (101, 1))
    assert change_point(curves, DOSES).p_value == 1.0
