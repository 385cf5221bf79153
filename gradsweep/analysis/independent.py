"""Comparisons of two sets of questions, where no question of one is the other's counterpart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import resampling_weights
from gradsweep.analysis.effect_sizes import quantiles
from gradsweep.analysis.multiplicity import adjusted_p_values
from gradsweep.analysis.questions import PointQuestions, point_questions
from gradsweep.analysis.rows import in_reading_order, require_metric, whole_matrices

Floats = NDArray[np.float64]

_NUMBERS = (
    "first_mean", "second_mean", "difference", "ci_low", "ci_high", "p_value", "p_adjusted",
    "cohen_d", "cohen_d_low", "cohen_d_high",
)  # fmt: skip
_COUNTS = ("n_first", "n_second", "n_questions", "n_left_out")
_BATCH = 500
"""Permutations that are held at once."""


def independent_tests(
    rows: pl.DataFrame,
    pair: pl.DataFrame,
    metric: str = "nuclear_norm",
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    permutations: int = 9999,
    seed: int = 0,
) -> pl.DataFrame:
    """Test second minus first point as two independent samples: other datasets, other questions.

    A question's value is its mean over the layers that both points have. Only questions with a
    finite value in every layer count; n_left_out says how many do not. Nothing is paired, so that
    what tells questions apart is noise here, and differences have to be larger than paired ones to
    show.

    Args:
        rows: of both points, as `load_rows` gives them.
        pair: one line of `paired_points`.
        metric: a column of `rows`.
        confidence: of the intervals.
        resamples: of the percentile bootstrap; either sample is drawn by itself.
        permutations: of the test, at most; all where there are fewer.
        seed: of both.

    Returns:
        Columns: those of `pair`; projection; first_mean, second_mean, difference and its interval
        ci_low, ci_high (in the metric's unit); p_value of the permutation test of Welch's t, which
        keeps its level where spreads differ, too (Janssen, 1997); p_adjusted over projections
        (Holm); cohen_d (difference over the root of the mean of both variances; Cohen, 1988) and
        its interval; n_first, n_second, n_questions (the smaller), n_left_out. NaN where a sample
        has fewer than two questions.

    Raises:
        ConfigError: an unknown metric.
        DataError: a projection with rows of single heads only.
    """
    require_metric(rows, metric)
    rows = whole_matrices(rows)
    one, other = (
        point_questions(rows.filter(pl.col("point_id") == pair[f"{side}_point_id"][0]), metric)
        for side in ("first", "second")
    )
    lines = [
        line | _statistics(*samples, confidence, resamples, permutations, seed)
        for line, samples in _projections(one, other)
    ]
    p_values = adjusted_p_values(np.array([line["p_value"] for line in lines]), "holm").tolist()
    found = [
        pair.row(0, named=True) | line | {"p_adjusted": p}
        for line, p in zip(lines, p_values, strict=True)
    ]
    schema = dict(pair.schema) | {"projection": rows.schema["projection"]}
    schema |= dict.fromkeys(_NUMBERS, pl.Float64()) | dict.fromkeys(_COUNTS, pl.Int64())
    return in_reading_order(pl.DataFrame(found, schema=schema))


def _projections(
    first: PointQuestions, second: PointQuestions
) -> Iterator[tuple[dict[str, Any], tuple[Floats, Floats]]]:
    """Projections of both points: name and counts, and a value of each question, (questions,)."""
    for projection, asked in first.asked.items():
        if projection not in second.asked:
            continue
        found = [point.values.get(projection) for point in (first, second)]
        layers = sorted(set.intersection(*(set(each.layers if each else ()) for each in found)))
        one, other = (
            each.at(each.question_ids, layers).mean(axis=1) if each and layers else np.empty(0)
            for each in found
        )
        n_first, n_second = len(one), len(other)
        left_out = len(asked) + len(second.asked[projection]) - n_first - n_second
        counts = (n_first, n_second, min(n_first, n_second), left_out)
        yield {"projection": projection, **dict(zip(_COUNTS, counts, strict=True))}, (one, other)


def _statistics(
    first: Floats,
    second: Floats,
    confidence: float,
    resamples: int,
    permutations: int,
    seed: int,
) -> dict[str, float]:
    """The numbers of one projection, p_adjusted apart."""
    if min(len(first), len(second)) < 2:
        means = [x.mean() if len(x) else np.nan for x in (first, second)]
        known = dict(zip(_NUMBERS, (*means, means[1] - means[0]), strict=False))
        return dict.fromkeys(_NUMBERS, np.nan) | known
    weights = [
        np.concatenate([np.ones((1, len(x))), resampling_weights(len(x), resamples, seed + place)])
        for place, x in enumerate((first, second))
    ]
    of_first, of_second = (_moments(*of) for of in zip((first, second), weights, strict=True))
    differences = of_second[0] - of_first[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        sizes = differences / np.sqrt((of_first[1] + of_second[1]) / 2)
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    low, high = quantiles(differences[1:, None], tails)[:, 0]
    size_low, size_high = quantiles(sizes[1:, None], tails)[:, 0]
    return {
        "first_mean": float(of_first[0][0]),
        "second_mean": float(of_second[0][0]),
        "difference": float(differences[0]),
        "ci_low": float(low),
        "ci_high": float(high),
        "p_value": _p_value(first, second, permutations, seed),
        "cohen_d": float(sizes[0]) if np.isfinite(sizes[0]) else np.nan,
        "cohen_d_low": float(size_low),
        "cohen_d_high": float(size_high),
    }


def _moments(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Mean and variance (n − 1) in every resample, (resamples,); 0 where nothing is drawn twice."""
    n = len(values)
    centre = values.mean()
    shifted = values - centre
    means = weights @ shifted / n
    variances = np.maximum(weights @ shifted**2 / n - means**2, 0) * n / (n - 1)
    return means + centre, variances


def _p_value(first: Floats, second: Floats, permutations: int, seed: int) -> float:
    from scipy.stats import permutation_test  # type: ignore[attr-defined]  # slow to import

    scale = max(np.abs(first).max(), np.abs(second).max())
    samples = (first / scale, second / scale) if scale > 0 else (first, second)
    found = permutation_test(
        samples,
        _welch_t,
        vectorized=True,
        n_resamples=permutations,
        batch=_BATCH,
        alternative="greater",
        random_state=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def _welch_t(first: Floats, second: Floats, axis: int = -1) -> Floats:
    """|t|; samples without any spread have that of their difference over rounding errors."""
    spread = sum(x.var(axis=axis, ddof=1) / x.shape[axis] for x in (first, second))
    difference = second.mean(axis=axis) - first.mean(axis=axis)
    return np.asarray(np.abs(difference) / np.sqrt(spread + np.finfo(float).eps ** 2))
