"""Detectors of known strength lie in their intervals; what the loss explains is taken out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from gradsweep.analysis.bootstrap import question_weights
from gradsweep.analysis.open_questions.detectors import area_under_curve, right, share, without

N = 40
SEEDS = range(100)


def weights() -> np.ndarray:
    return question_weights([f"q{index}" for index in range(N)], 400)


def ends(resampled: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(resampled[1:], (0.025, 0.975))
    return float(low), float(high)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_a_known_area_and_accuracy_lie_in_their_intervals(shift: float):
    covered = []
    truth = norm.cdf(shift / np.sqrt(2))
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        correct, irrelevant = rng.normal(0, 1, N), rng.normal(shift, 1, N)
        area = ends(area_under_curve(correct, irrelevant, weights()))
        accuracy = ends(share(right(correct, irrelevant), 400))
        covered.append([low <= truth <= high for low, high in (area, accuracy)])
    assert np.mean(covered, axis=0) == pytest.approx([0.95, 0.95], abs=0.06)


def test_the_area_is_the_share_of_all_pairs_to_the_last_bit():
    rng = np.random.default_rng(0)
    correct, irrelevant = rng.integers(-3, 4, (2, N)) / 3  # many are equal
    correct[0], irrelevant[1] = np.nan, np.nan
    larger = (irrelevant > correct[:, None]) + 0.5 * (irrelevant == correct[:, None])
    drawn = weights()
    pairs = np.einsum("ri,ij,rj->r", drawn, larger, drawn)
    found = area_under_curve(correct, irrelevant, drawn)
    assert found.tolist() == (pairs / drawn.sum(axis=1) ** 2).tolist()


def test_a_perfect_score_has_an_interval_too():
    found = share(np.ones(16), 1000)
    low, high = ends(found)
    assert found[0] == 1.0
    assert 0.8 < low < 0.9
    assert high <= 1.0


def test_no_difference_is_half_right():
    same = np.linspace(0, 1, N)
    assert right(same, same + 1e-15).tolist() == [0.5] * N


def of_loss(rng: np.random.Generator, gap: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    correct = rng.normal(0, 0.5, N)
    return correct, correct + gap + rng.normal(0, 0.3, N)


def test_a_function_of_the_loss_alone_tells_nothing_beyond_it():
    loss = of_loss(np.random.default_rng(0))
    left = without((3 * loss[0] + 1, 3 * loss[1] + 1), [loss])
    assert left is not None
    assert right(*left).tolist() == [0.5] * N


def test_the_loss_with_noise_is_taken_for_more_at_no_more_than_the_stated_rate():
    told = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        loss = of_loss(rng)
        signal = tuple(one + 0.5 * one**2 + rng.normal(0, 0.5, N) for one in loss)
        left = without(signal, [loss])
        low, high = ends(share(right(*left), 400))
        told.append((low > 0.5, high < 0.5))
    assert (np.mean(told, axis=0) <= 0.06).all()


def test_what_a_signal_has_of_its_own_is_left():
    rng = np.random.default_rng(0)
    loss = of_loss(rng, gap=0.2)
    signal = (loss[0] + rng.normal(0, 0.2, N), loss[1] + 1 + rng.normal(0, 0.2, N))
    low, _ = ends(share(right(*without(signal, [loss])), 400))
    assert low > 0.8


def test_too_few_questions_for_the_regression_give_nothing():
    loss = (np.array([0.0, 1.0]), np.array([1.0, 2.5]))
    assert without(loss, [loss]) is None
