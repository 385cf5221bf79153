"""How far apart fast and slow thinking are while a model learns: two probes' ratio by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.resampling import TAIL, QuestionSums, Resampled, mean_of_finite, resampled
from gradsweep.analysis.rows import require_metric
from gradsweep.analysis.training.moments import RUN, with_moment_ids
from gradsweep.records import MOMENT, Source

Floats = NDArray[np.float64]

FAST, SLOW = "none", "detailed"
"""Levels of CoT whose gap is looked at, as in claim 1."""


@dataclass(frozen=True)
class Gap:
    """The ratio of the fast level's mean to the slow one's in one run, over the same questions.

    A ratio is the geometric mean over projections of the ratio of two curves' means over layers,
    as in claim 1.
    """

    run: dict[str, Any]
    """Columns of `RUN`."""
    correctness: str
    """Of the responses that were probed."""
    steps: tuple[int, ...]
    log_ratios: Floats = field(repr=False)
    """(steps, 1 + resamples), the observed questions first."""
    n_questions: int
    """Questions that have values at both levels at every one of the steps."""
    n_left_out: int
    """Questions probed at both levels, without a value at some step."""

    def interval(self, values: Floats) -> tuple[float, float]:
        """Compute the 95 % interval of (1 + resamples,); NaN with fewer than two questions."""
        drawn = values[1:][np.isfinite(values[1:])]
        if self.n_questions < 2 or not len(drawn):
            return np.nan, np.nan
        low, high = np.quantile(drawn, (TAIL, 1 - TAIL))
        return float(low), float(high)


def gaps(
    rows: pl.DataFrame, metric: str = "nuclear_norm", *, resamples: int = 1000, seed: int = 0
) -> list[Gap]:
    """Find the gap between probes without CoT and with detailed CoT, in every run that has both.

    Args:
        rows: of `gradsweep.load_training`, or its samples as rows (`sample_rows_of_moments`).
        metric: one that they have; a ratio takes one that is positive.
        resamples: of the bootstrap, in which both levels at all steps draw the same questions.
        seed: of the bootstrap.

    Raises:
        ConfigError: an unknown metric.
        DataError: a projection with rows of single heads only.
    """
    require_metric(rows, metric)
    probes = rows.filter(
        pl.col("source") == Source.probe.value, pl.col("probe_cot").is_in([FAST, SLOW])
    )
    parts = probes.partition_by("point_id", "probe_correctness", maintain_order=True)
    found = (_gap(part, metric, resamples, seed) for part in parts)
    return [gap for gap in found if gap is not None]


def gap_by_step(found: Sequence[Gap]) -> pl.DataFrame:
    """Make a table of gaps: columns of `RUN`; probe_correctness, step, ratio, low, high,
    n_questions. The interval is a 95 % bootstrap over questions, paired between the levels."""
    lines = [
        {
            **gap.run,
            "probe_correctness": gap.correctness,
            "step": step,
            **_ends(gap, values),
            "n_questions": gap.n_questions,
        }
        for gap in found
        for step, values in zip(gap.steps, gap.log_ratios, strict=True)
    ]
    text = dict.fromkeys((*(name for name in RUN if name != "seed"),), pl.String())
    schema: dict[str, Any] = {**text, "seed": pl.Int64(), "probe_correctness": pl.String()}
    schema |= {"step": pl.Int32()} | dict.fromkeys(("ratio", "low", "high"), pl.Float64())
    return pl.DataFrame(lines, schema=schema | {"n_questions": pl.Int64()})


def _ends(gap: Gap, log_ratios: Floats) -> dict[str, float]:
    low, high = gap.interval(log_ratios)
    return {"ratio": float(np.exp(log_ratios[0])), "low": np.exp(low), "high": np.exp(high)}


def _gap(rows: pl.DataFrame, metric: str, resamples: int, seed: int) -> Gap | None:
    """Of one run and kind of responses; None where the levels have no step in common."""
    named = with_moment_ids(rows)
    found = resampled(named, metric, resamples, seed)
    moments = named.select("point_id", *MOMENT).unique(maintain_order=True)
    id_of = {(m["probe_cot"], m["step"]): m["point_id"] for m in moments.iter_rows(named=True)}
    measured = {moment for moment, _ in found.of_point}
    steps = sorted(
        step
        for level, step in id_of
        if level == FAST and {id_of[FAST, step], id_of.get((SLOW, step))} <= measured
    )
    if not steps:
        return None
    names = [id_of[level, step] for step in steps for level in (FAST, SLOW)]
    projections = _shared(found, names)
    questions = _common(found.of_point[n, p].question_ids for n in names for p in projections)
    if not questions:
        return None
    asked = _common(
        rows.filter(probe_cot=level)["question_id"].unique().to_list() for level in (FAST, SLOW)
    )
    log_ratios = [
        np.mean(
            [
                _log_mean(found, found.of_point[id_of[FAST, step], p], questions)
                - _log_mean(found, found.of_point[id_of[SLOW, step], p], questions)
                for p in projections
            ],
            axis=0,
        )
        for step in steps
    ]
    run = {name: rows[name][0] for name in RUN}
    return Gap(
        run, str(rows["probe_correctness"][0]), tuple(steps), np.array(log_ratios),
        len(questions), len(asked) - len(questions),
    )  # fmt: skip


def _log_mean(found: Resampled, sums: QuestionSums, questions: Sequence[str]) -> Floats:
    """The logarithm of a curve's mean over layers, (1 + resamples,); NaN where there is none."""
    means = mean_of_finite(found.curve(sums.of(questions)))
    return np.log(np.where(means > 0, means, np.nan))


def _shared(found: Resampled, moments: Sequence[str]) -> list[str]:
    """Projections that all of these moments have."""
    by_moment: dict[str, set[str]] = {name: set() for name in moments}
    for moment, projection in found.of_point:
        if moment in by_moment:
            by_moment[moment].add(projection)
    return sorted(set.intersection(*by_moment.values()))


def _common(collections: Iterable[Iterable[str]]) -> list[str]:
    sets = [set(collection) for collection in collections]
    return sorted(set.intersection(*sets)) if sets else []
