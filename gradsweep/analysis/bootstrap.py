"""Percentile bootstrap of a mean over samples, and the weights of questions in a resample."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from gradsweep.errors import ConfigError

Weights = NDArray[np.float64]


def bootstrap_interval(
    values: NDArray[np.float64], *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the interval of the mean over samples, for every layer at once.

    Whole samples are drawn with replacement, so that a sample's layers stay together. With w_b
    the number of times each of the n samples is drawn, m_b = w_b·values / n; the interval is
    the ((1 − confidence)/2, (1 + confidence)/2) quantiles of m_b over b. It is a little too
    narrow for few samples (about 91 % instead of 95 % at n = 12).

    `values` is (…, n samples, layers), of any number of points; the two results are (…, layers),
    lower and upper. They are NaN for fewer than two samples, which say nothing about spread, and
    when `resamples` is 0.

    Raises:
        ConfigError: a confidence outside (0, 1) or negative resamples.
    """
    require_confidence(confidence)
    if resamples < 0:
        raise ConfigError(f"resamples must not be negative, got {resamples}")
    n_samples, n_layers = values.shape[-2:]
    if n_samples < 2 or resamples == 0:
        nothing = np.full((*values.shape[:-2], n_layers), np.nan)
        return nothing, nothing
    means = resampling_weights(n_samples, resamples, seed) @ values / n_samples
    tail = (1 - confidence) / 2
    low, high = quantiles_over_resamples(means, (tail, 1 - tail))
    return low, high


def require_confidence(confidence: float) -> None:
    """Refuse a confidence outside (0, 1).

    Raises:
        ConfigError: the same.
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence must be in (0, 1), got {confidence}")


def quantiles_over_resamples(values: Weights, probabilities: Sequence[float]) -> Weights:
    """Compute quantiles over the last axis but one: (probabilities, …, columns).

    They are `np.quantile`'s, bit for bit, in half its time: resamples of a column lie next to each
    other while they are partitioned. `values` is (…, resamples, columns).
    """
    beside = np.array(np.swapaxes(values, -1, -2), order="C")
    last = beside.shape[-1] - 1
    places = [probability * last for probability in probabilities]
    below = [int(np.floor(place)) for place in places]
    above = [min(place + 1, last) for place in below]
    beside.partition(sorted({*below, *above}), axis=-1)
    # What is no number has been sorted to the end.
    undefined = np.isnan(beside[..., max(above) :]).any(axis=-1)
    found = [
        _between(beside[..., low], beside[..., high], place - low)
        for place, low, high in zip(places, below, above, strict=True)
    ]
    return np.where(undefined, np.nan, np.stack(found))


def _between(low: Weights, high: Weights, share: float) -> Weights:
    """Interpolate from the nearer end, as NumPy does."""
    step = high - low
    return low + step * share if share < 0.5 else high - step * (1 - share)


# Points of a sweep mostly have the same number of samples, and the draw costs more than its use.
@lru_cache(maxsize=2)
def resampling_weights(n_samples: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """Draw each sample's number in each resample, (resamples, samples); rows sum to n_samples."""
    drawn = np.random.default_rng(seed).integers(n_samples, size=(resamples, n_samples))
    cells = drawn + n_samples * np.arange(resamples)[:, None]
    counts = np.bincount(cells.ravel(), minlength=resamples * n_samples)
    weights = counts.reshape(resamples, n_samples).astype(np.float64)
    weights.flags.writeable = False
    return weights


def question_weights(question_ids: Sequence[str], resamples: int, seed: int = 0) -> Weights:
    """Draw how often each question counts in each resample: (1 + resamples, questions).

    The first line is the observed sample, all ones. Counts are Poisson(1) (the Poisson bootstrap;
    Hanley & MacGibbon, 2006) and drawn from the question's own id: conditions draw the same
    questions together, and no number depends on what else is stored.
    """
    return _question_weights(tuple(question_ids), resamples, seed)


# Every metric of a model and dataset asks for the same.
@lru_cache(maxsize=4)
def _question_weights(question_ids: tuple[str, ...], resamples: int, seed: int) -> Weights:
    drawn = [_draws(name, resamples, seed) for name in question_ids]
    columns = np.stack(drawn, axis=1) if drawn else np.empty((resamples, 0))
    weights = np.concatenate([np.ones((1, len(drawn))), columns])
    weights.flags.writeable = False
    return weights


def weighted_mean(weights: Weights, values: Weights) -> Weights:
    """Average (n,) values in every resample: (1 + resamples,); NaN where none was drawn."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(weights @ values / weights.sum(axis=1))


@lru_cache(maxsize=20_000)
def _draws(question_id: str, resamples: int, seed: int) -> NDArray[np.uint8]:
    source = np.random.default_rng([seed, crc32(question_id.encode())])
    return source.poisson(1.0, resamples).astype(np.uint8)
