"""The paired permutation test: exact for few questions, at the stated rate for many."""

from itertools import product

import numpy as np
import pytest

from gradsweep.analysis.sign_flip import sign_flip_p_values
from gradsweep.errors import ConfigError

REPLICATIONS = 400


def within_binomial_bounds(count: int, rate: float) -> bool:
    """Whether `count` of REPLICATIONS is within 3.5 standard deviations of `rate`."""
    spread = np.sqrt(REPLICATIONS * rate * (1 - rate))
    return abs(count - REPLICATIONS * rate) <= 3.5 * spread


def test_few_questions_are_enumerated():
    differences = np.array([0.3, -0.1, 0.4, 0.2, 0.25])
    means = [abs(np.dot(signs, differences)) for signs in product((1, -1), repeat=5)]
    expected = np.mean(np.array(means) >= abs(differences.sum()) - 1e-12)
    assert sign_flip_p_values(differences[:, None]).item() == expected


def test_all_of_one_sign_is_the_smallest_p_value():
    assert sign_flip_p_values(np.ones((6, 1))).item() == 2 / 2**6
    assert sign_flip_p_values(np.ones((400, 1)), flips=999).item() == 1 / 1000


def test_no_difference_and_no_question():
    assert sign_flip_p_values(np.zeros((30, 1))).item() == 1.0
    assert np.isnan(sign_flip_p_values(np.empty((0, 2)))).all()


@pytest.mark.parametrize("n_questions", [8, 40])
def test_a_null_is_rejected_at_the_stated_rate(n_questions):
    rng = np.random.default_rng(1)
    # Heavy tails, and columns of very different scale: the test assumes neither shape nor unit.
    null = rng.standard_t(3, size=(n_questions, REPLICATIONS)) * np.logspace(-9, 9, REPLICATIONS)
    rejected = int((sign_flip_p_values(null, flips=999) <= 0.05).sum())
    assert within_binomial_bounds(rejected, 0.05)


def test_a_planted_difference_is_found():
    rng = np.random.default_rng(2)
    planted = rng.normal(0.6, 1, size=(40, REPLICATIONS))
    assert (sign_flip_p_values(planted, flips=999) <= 0.05).mean() > 0.9


def test_unit_and_direction_do_not_matter():
    differences = np.random.default_rng(3).normal(0.3, 1, size=(30, 5))
    expected = sign_flip_p_values(differences)
    np.testing.assert_array_equal(sign_flip_p_values(-1e-6 * differences), expected)


def test_at_least_one_flip():
    with pytest.raises(ConfigError, match="flips must be at least 1, got 0"):
        sign_flip_p_values(np.ones((3, 1)), flips=0)
