"""Samples scored by their gradients: a value for each, its rank, and what the loss tells alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import polars as pl

from gradsweep.analysis.bootstrap import question_weights, require_confidence
from gradsweep.analysis.effect_sizes import quantiles
from gradsweep.analysis.rank_correlation import partial_rank_correlation, rank_correlation
from gradsweep.analysis.rows import require_metric, whole_matrices

ABOUT = ("question_id", "index", "loss", "n_prompt_tokens", "n_response_tokens", "truncated")
"""Of the table of samples, what stands beside a score."""

COVARIATES = ("loss", "n_response_tokens")
"""What is known without a backward pass; a score that follows from these two says nothing new."""

_FEWEST = 5
"""Samples with fewer have no correlation that anybody should look at."""


def sample_scores(
    rows: pl.DataFrame, samples: pl.DataFrame, metrics: Sequence[str] = ("nuclear_norm",)
) -> pl.DataFrame:
    """Score each sample of each point: the mean of a metric over its layers and projections.

    Rows that failed their checksum and values that are not finite do not count; a sample without
    any value of the first metric has no line.

    Args:
        rows: as `load_rows` gives them.
        samples: of the same points, as `load_samples_table` gives them.
        metrics: columns of `rows`; the first one ranks.

    Returns:
        Columns point_id, sample_id, `ABOUT`, rank (from 1, within the point, the largest value
        first; equal values by sample_id) and the metrics; by point_id, then rank.

    Raises:
        ConfigError: a metric that the rows do not have.
        DataError: a projection with rows of single heads only.
    """
    for metric in metrics:
        require_metric(rows, metric)
    trusted = whole_matrices(rows).filter("finite")
    key = ["point_id", "sample_id"]
    finite = [pl.col(m).cast(pl.Float64).replace([np.inf, -np.inf], None) for m in metrics]
    values = trusted.select(*key, *finite).group_by(key).agg(pl.col(metrics).fill_nan(None).mean())
    about = samples.select(*key, *ABOUT).unique(key)
    first = metrics[0]
    scored = values.filter(pl.col(first).is_not_null()).join(about, on=key)
    # Equal values are ranked alike in every run.
    ranked = scored.sort(["point_id", first, "sample_id"], descending=[False, True, False])
    rank = pl.int_range(1, pl.len() + 1).over("point_id").alias("rank")
    return ranked.select(*key, *ABOUT, rank, *metrics)


def score_correlations(
    scores: pl.DataFrame,
    names: Sequence[str],
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> pl.DataFrame:
    """Correlate scores with each other, with the loss and with the length, in ranks.

    Each pair has Spearman's ρ and what is left of it when `COVARIATES` are taken out of both;
    those that are one of the pair, or the same in all samples, are not taken out. Intervals are
    percentile bootstraps over questions.

    Args:
        scores: of one point, with the columns `names`.
        names: numeric columns to correlate, beside `COVARIATES`.
        confidence: of the intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        Columns first, second, n (samples with both), rho, low, high, partial, partial_low,
        partial_high, given (what was taken out, joined by a comma). Pairs with fewer than five
        samples are left out.

    Raises:
        ConfigError: a confidence outside (0, 1).
    """
    require_confidence(confidence)
    every = list(dict.fromkeys((*names, *COVARIATES)))
    pairs = [(a, b) for a, b in combinations(every, 2) if not {a, b} <= set(COVARIATES)]
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    known = [_known(scores, pair) for pair in pairs]
    lines = [
        _pair(frame, pair, tails, resamples, seed)
        for frame, pair in zip(known, pairs, strict=True)
        if len(frame) >= _FEWEST
    ]
    number = pl.Float64()
    columns = ("rho", "low", "high", "partial", "partial_low", "partial_high")
    schema = {"first": pl.String(), "second": pl.String(), "n": pl.Int64()}
    return pl.DataFrame(
        lines,
        schema={**schema, **dict.fromkeys(columns, number), "given": pl.String()},
    )


def _known(scores: pl.DataFrame, pair: tuple[str, str]) -> pl.DataFrame:
    """The samples that have both of a pair and what is taken out of it."""
    columns = pl.col(dict.fromkeys((*pair, *COVARIATES))).cast(pl.Float64)
    numbers = scores.select("question_id", columns)
    return numbers.filter(pl.all_horizontal(columns.is_finite()))


def _pair(
    known: pl.DataFrame,
    pair: tuple[str, str],
    tails: tuple[float, float],
    resamples: int,
    seed: int,
) -> dict[str, object]:
    first, second = pair
    others = [name for name in COVARIATES if name not in pair]
    given = [name for name in others if known[name].n_unique() > 1]
    x, y, *z = (known[name].to_numpy() for name in (first, second, *given))
    weights = _sample_weights(known["question_id"], resamples, seed)
    rho = rank_correlation(x, y, weights)
    partial = partial_rank_correlation(x, y, z, weights)
    named = zip(("rho", "partial"), (rho, partial), strict=True)
    line: dict[str, object] = {"first": first, "second": second, "n": len(known)}
    for name, resampled in named:
        low, high = _interval(resampled, tails)
        ends = ("low", "high") if name == "rho" else ("partial_low", "partial_high")
        line |= {name: float(resampled[0]), ends[0]: low, ends[1]: high}
    return line | {"given": ", ".join(given)}


def _sample_weights(questions: pl.Series, resamples: int, seed: int) -> np.ndarray:
    """How often each sample counts in each resample: as often as its question is drawn."""
    ids = questions.unique(maintain_order=True).to_list()
    place = {name: at for at, name in enumerate(ids)}
    return question_weights(ids, resamples, seed)[:, [place[name] for name in questions]]


def _interval(resampled: np.ndarray, tails: tuple[float, float]) -> tuple[float, float]:
    """Of the resamples that have a value; NaN where the samples themselves have none."""
    if not np.isfinite(resampled[0]):
        return np.nan, np.nan
    low, high = quantiles(resampled[1:], tails)
    return float(low), float(high)
