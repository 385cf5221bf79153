"""Datasets that others have rated: what is at either end, sample by sample and without pairs.

The two ends of a rating (`quality=high|low`) are other questions, so nothing is paired: a resample
draws the questions of each end by their own ids (`question_weights`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import question_weights, weighted_mean
from gradsweep.analysis.length_fit import Cloud, gap_at_equal_length, slope_within
from gradsweep.analysis.rows import CORRECT, whole_matrices
from gradsweep.config import Quality
from gradsweep.records import STUDY_OBJECTIVE
from gradsweep.store.series import base_name, series_parts

Floats = NDArray[np.float64]

HIGH, LOW = Quality.high.label, Quality.low.label
"""As labels of the dataset axis end (`Config.axes`)."""


THOUGHTS = ("gsm8k_r1", "s1_r1")
"""Datasets of a reasoning model's thoughts, which are whole."""


def is_rated(dataset: str) -> bool:
    """Whether a value of the dataset axis is an end of a rating, or a dataset of thoughts: data of
    the follow-up, of which each question has one response at one level."""
    return base_name(dataset) in THOUGHTS or bool({HIGH, LOW} & {*series_parts(dataset)[1:]})


@dataclass(frozen=True)
class Samples:
    """The questions of one condition, of a model and a series."""

    model: str
    series: str
    dataset: str
    """Without its end."""
    end: str
    """`HIGH`, `LOW`, or empty for a dataset that is whole."""
    point_ids: tuple[str, ...]
    question_ids: tuple[str, ...]
    values: Mapping[str, Floats]
    """Metric -> (questions,), means over layers, projections and seeds; NaN without a value."""
    tokens: Floats
    """Response tokens; NaN where they are not known."""

    def at(self, metric: str) -> tuple[Floats, Floats, tuple[str, ...]]:
        """The questions with a finite value: values, tokens, ids."""
        values = self.values[metric]
        known = np.isfinite(values)
        ids = tuple(name for name, here in zip(self.question_ids, known, strict=True) if here)
        return values[known], self.tokens[known], ids


def rated_samples(
    rows: pl.DataFrame, samples: pl.DataFrame | None, metrics: tuple[str, ...]
) -> list[Samples]:
    """Arrange correct responses under the study's objective, condition by condition.

    Args:
        rows: as `load_rows` gives them.
        samples: of the same points, for the number of response tokens; None leaves it unknown.
        metrics: those of them that `rows` do not have are NaN.

    Raises:
        DataError: a projection with rows of single heads only.
    """
    chosen = rows.filter(pl.col("correctness") == CORRECT, pl.col("objective") == STUDY_OBJECTIVE)
    if chosen.is_empty():
        return []
    trusted = whole_matrices(chosen).filter("finite")
    known = [name for name in metrics if name in rows.columns]
    condition = ["model", "series", "dataset"]
    key = [*condition, "point_id", "sample_id", "question_id"]
    values = trusted.group_by(key).agg(
        pl.col(name).cast(pl.Float64).filter(pl.col(name).is_finite()).mean() for name in known
    )
    tokens = pl.lit(None, pl.Float64()).alias("tokens")
    if samples is not None:
        counts = samples.select(
            "point_id", "sample_id", tokens=pl.col("n_response_tokens").cast(pl.Float64)
        )
        values = values.join(counts.unique(["point_id", "sample_id"]), on=key[3:5], how="left")
    else:
        values = values.with_columns(tokens)
    return list(_arranged(values, known, metrics))


def _arranged(
    values: pl.DataFrame, known: list[str], metrics: tuple[str, ...]
) -> Iterator[Samples]:
    condition = ["model", "series", "dataset"]
    for (model, series, dataset), group in sorted(values.group_by(condition), key=lambda g: g[0]):
        # Seeds of a condition ask some questions again.
        by_question = group.group_by("question_id").agg(pl.col(*known, "tokens").mean())
        by_question = by_question.sort("question_id").with_columns(
            pl.col(*known, "tokens").fill_null(np.nan)
        )
        nothing = np.full(len(by_question), np.nan)
        ends = [part for part in series_parts(str(dataset))[1:] if part in (HIGH, LOW)]
        yield Samples(
            str(model),
            str(series),
            base_name(str(dataset)),
            ends[0] if ends else "",
            tuple(group["point_id"].unique().sort()),
            tuple(by_question["question_id"]),
            {name: by_question[name].to_numpy() if name in known else nothing for name in metrics},
            by_question["tokens"].to_numpy(),
        )


def log_ratio(
    first: Samples, second: Samples, metric: str, resamples: int, seed: int, power: float = 0.0
) -> Floats:
    """Compute log(mean of `first` / mean of `second`), (1 + resamples,), the observed one first.

    Args:
        first: one condition.
        second: another one, of other questions.
        metric: one of their values, positive.
        resamples: of the Poisson bootstrap over questions.
        seed: of the bootstrap.
        power: of the response tokens that values are multiplied by: 1 turns norms of a mean over
            tokens into those of the sum.
    """
    logs = []
    for one in (first, second):
        values, tokens, ids = one.at(metric)
        scaled = values if power == 0 else values * tokens**power
        weights = question_weights(ids, resamples, seed)
        with np.errstate(invalid="ignore", divide="ignore"):
            logs.append(np.log(weighted_mean(weights, scaled)))
    return np.asarray(logs[0] - logs[1])


def log_ratio_at_equal_length(
    first: Samples, second: Samples, metric: str, resamples: int, seed: int
) -> Floats:
    """Compute the difference of mean logarithms that is left when length is taken out.

    An analysis of covariance: both conditions share one slope of log value on log tokens, that
    within them, and are compared at the same length. NaN where lengths are not known, or are all
    the same within both.

    Arguments as `log_ratio`. Returns (1 + resamples,), the observed one first.
    """
    clouds = []
    for one in (first, second):
        values, tokens, ids = one.at(metric)
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.log(tokens), np.log(values)
        clouds.append(Cloud(*logs, question_weights(ids, resamples, seed)))
    above, below = clouds
    return gap_at_equal_length(above, below, slope_within(clouds))
