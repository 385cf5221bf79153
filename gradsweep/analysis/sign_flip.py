"""The paired permutation test: were the two conditions exchangeable within a question?"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gradsweep.errors import ConfigError

Floats = NDArray[np.float64]


def sign_flip_p_values(differences: Floats, *, flips: int = 9999, seed: int = 0) -> Floats:
    """Compute the two-sided p-value of the mean paired difference, for every column (Fisher, 1935).

    If the two conditions of a question could be swapped, d and −d were equally likely: the
    p-value is the share of sign patterns whose |mean| is at least the observed one. All 2ⁿ
    patterns are taken where these are at most `flips` + 1; otherwise `flips` random ones and
    the observed one, p = (1 + #)/(1 + flips), which keeps the stated rate (Phipson & Smyth,
    2010). The smallest p is therefore 1/(1 + flips), or 2/2ⁿ.

    `differences` is (n questions, columns); the result (columns,), NaN for no question.

    Raises:
        ConfigError: less than one flip.
    """
    if flips < 1:
        raise ConfigError(f"flips must be at least 1, got {flips}")
    n_questions, n_columns = differences.shape
    if n_questions == 0:
        return np.full(n_columns, np.nan)
    # A scale of 1 makes the tolerance below relative.
    scale = np.abs(differences).max(axis=0)
    scaled = differences / np.where(scale > 0, scale, 1)
    sums = np.abs(_signs(n_questions, flips, seed) @ scaled)
    # Patterns that give the observed sum in another order of addition count as equal to it.
    as_large = sums >= np.abs(scaled.sum(axis=0)) - 1e-9
    return as_large.mean(axis=0).astype(np.float64)


@lru_cache(maxsize=2)
def _signs(n_questions: int, flips: int, seed: int) -> Floats:
    """Sign patterns, the observed one (all +1) first: (patterns, questions)."""
    if n_questions < 60 and 2**n_questions <= flips + 1:
        bits = np.arange(2**n_questions)[:, None] >> np.arange(n_questions) & 1
        signs = np.where(bits == 1, -1.0, 1.0)
    else:
        drawn = np.random.default_rng(seed).integers(2, size=(flips, n_questions))
        signs = np.vstack([np.ones(n_questions), np.where(drawn == 1, -1.0, 1.0)])
    signs.flags.writeable = False
    return signs
