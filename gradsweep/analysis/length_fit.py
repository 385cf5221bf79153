"""How the size of a gradient goes with the length of its response: a power of the tokens.

log ‖G‖ = a + b·log T over samples. Of a mean over T tokens, b = −½ where the tokens' gradients are
independent of each other, and 0 where they all point the same way; of their sum, b is larger by 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import weighted_mean

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cloud:
    """The samples of one condition, one for each question."""

    log_tokens: Floats
    """(questions,)"""
    log_norm: Floats
    """(questions,)"""
    weights: Floats
    """(1 + resamples, questions): how often each question counts."""

    @property
    def n_questions(self) -> int:
        return len(self.log_norm)

    @cached_property
    def mean_log_tokens(self) -> Floats:
        """(1 + resamples,); NaN where no question was drawn."""
        return weighted_mean(self.weights, self.log_tokens)

    @cached_property
    def mean_log_norm(self) -> Floats:
        """(1 + resamples,); NaN where no question was drawn."""
        return weighted_mean(self.weights, self.log_norm)

    @cached_property
    def products(self) -> tuple[Floats, Floats]:
        """Weighted sums of dx·dy and dx², around the condition's own means."""
        # Around fixed means first, so that the subtraction below does not cancel.
        x, y = self.log_tokens - self.log_tokens.mean(), self.log_norm - self.log_norm.mean()
        totals = self.weights.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            of_x, of_y = self.weights @ x, self.weights @ y
            both = self.weights @ (x * y) - of_x * of_y / totals
            squares = self.weights @ x**2 - of_x**2 / totals
        return both, squares


def slope_within(clouds: Sequence[Cloud]) -> Floats:
    """Fit one slope to the samples of several conditions, each with an intercept of its own.

    Returns:
        (1 + resamples,); NaN where the responses of every condition have one length.
    """
    products = [cloud.products for cloud in clouds]
    both = np.nansum([one for one, _ in products], axis=0)
    return _ratio(both, np.nansum([squares for _, squares in products], axis=0))


def slope_between(clouds: Sequence[Cloud]) -> Floats:
    """Fit a slope to the mean log tokens and mean log norms of conditions.

    Returns:
        (1 + resamples,); NaN where all have one length.
    """
    x = np.stack([cloud.mean_log_tokens for cloud in clouds])
    y = np.stack([cloud.mean_log_norm for cloud in clouds])
    dx = x - x.mean(axis=0)
    return _ratio((dx * (y - y.mean(axis=0))).sum(axis=0), (dx**2).sum(axis=0))


def gap_at_equal_length(above: Cloud, below: Cloud, slope: Floats | float) -> Floats:
    """Take what a slope explains from the difference of two conditions' mean log norms.

    Returns:
        (1 + resamples,): the logarithm of the ratio that is left.
    """
    gap = above.mean_log_norm - below.mean_log_norm
    return np.asarray(gap - slope * (above.mean_log_tokens - below.mean_log_tokens))


def _ratio(both: Floats, squares: Floats) -> Floats:
    # Logarithms of token counts differ by 1e-3 at least where they differ at all.
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(both / np.where(squares > 1e-9, squares, np.nan))
