"""Slopes of log norm on log tokens, and what is left at equal length, lie in their intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import question_weights
from gradsweep.analysis.length_fit import (
    Cloud,
    gap_at_equal_length,
    slope_between,
    slope_within,
)

N = 40
SEEDS = range(100)
SLOPE, GAP = -0.4, 0.7


def clouds(seed: int) -> list[Cloud]:
    """Two conditions on one power of the length, the first larger by exp(GAP) beside it."""
    rng = np.random.default_rng(seed)
    weights = question_weights([f"{seed}-{index}" for index in range(N)], 300)
    of_question = rng.normal(0, 0.1, N)
    found = []
    for gap, (least, most) in ((GAP, (2, 20)), (0.0, (60, 400))):
        log_tokens = np.log(rng.integers(least, most, N))
        log_norm = SLOPE * log_tokens + gap + of_question + rng.normal(0, 0.2, N)
        found.append(Cloud(log_tokens, log_norm, weights))
    return found


def covers(resampled: NDArray[np.float64], truth: float) -> bool:
    low, high = np.quantile(resampled[1:], (0.025, 0.975))
    return bool(low <= truth <= high)


def test_slopes_and_what_is_left_at_equal_length_are_covered():
    found = []
    for seed in SEEDS:
        above, below = clouds(seed)
        slope = slope_within([above, below])
        left = gap_at_equal_length(above, below, slope)
        found.append((covers(slope, SLOPE), covers(left, GAP)))
    assert np.mean(found, axis=0).min() >= 0.88


def test_between_conditions_a_gap_counts_as_length():
    above, below = clouds(0)
    run = below.mean_log_tokens[0] - above.mean_log_tokens[0]
    assert slope_between([above, below])[0] < SLOPE - 0.5 * GAP / run


def test_the_size_of_the_numbers_changes_no_slope():
    above, below = clouds(0)
    shifted = [Cloud(c.log_tokens + 30, c.log_norm - 200, c.weights) for c in (above, below)]
    assert np.allclose(slope_within(shifted), slope_within([above, below]), rtol=1e-9)
