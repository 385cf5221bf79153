"""Claim 7: the gap between fast and slow thinking stays while a model learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.claims.controls import OF_LOSS, REDUCTION
from gradsweep.analysis.claims.estimate import Estimate
from gradsweep.analysis.claims.finding import Claim, Expected, Statement
from gradsweep.analysis.claims.runs import RunScope, RunTrial, TrainingMaterial, defined
from gradsweep.analysis.questions import FEWEST_QUESTIONS
from gradsweep.analysis.reduction import SCALED, of_mean_loss
from gradsweep.analysis.rows import main_responses
from gradsweep.analysis.training.gap import Gap, gaps
from gradsweep.analysis.training.moments import (
    RUN,
    sample_rows_of_moments,
    summed_over_tokens,
)
from gradsweep.analysis.training.names import run_names
from gradsweep.records import STUDY_OBJECTIVE

KEPT = Statement(
    "at least half of the gap before training is there at the last probe",
    "log mean none / detailed, last probe over step 0",
    Expected.ABOVE,
    0.0,
    0.5,
)
BEFORE = Statement(
    "the gap before training", "mean, none / detailed, step 0",
    Expected.ABOVE, 1.0, 1.1, ratio=True, decides=False,
)  # fmt: skip
AFTER = Statement(
    "the gap at the last probe", "mean, none / detailed, last probe",
    Expected.ABOVE, 1.0, 1.1, ratio=True, decides=False,
)  # fmt: skip

CLAIM = Claim(
    7,
    "The gap between fast and slow thinking stays",
    "Gradients without CoT stay larger than those with detailed CoT while the model learns: on the "
    "probe's questions, which are not trained on, at least half of the ratio's logarithm is left "
    "at the last probe.",
    "it measures models before training alone",
    (KEPT, BEFORE, AFTER),
)

_PROBE = (
    "train with a probe of both levels, cot=none and cot=detailed, at step 0 and later "
    "(docs/training.md)"
)


def scopes(material: TrainingMaterial) -> Iterator[RunScope]:
    """Give a scope for every run; of correct responses where it has single ones."""
    tables = material.tables
    found = _gaps(material, tables.rows, material.metric)
    summed = _gaps(material, _summed(material), material.metric)
    losses = _gaps(material, sample_rows_of_moments(tables.samples), "loss")
    every = pl.concat([frame.select(RUN) for frame in (tables.samples, tables.steps)])
    for name, told in run_names(every).items():
        run = told.run
        under: dict[str, Gap | None] = {}
        if _is_of_mean_loss(run, material.metric):
            under[REDUCTION["mean"]] = summed.get(name)
        if run["objective"] == STUDY_OBJECTIVE:
            under[OF_LOSS] = losses.get(name)
        yield RunScope(
            run["model"],
            told.series,
            told.data,
            tuple(_trials(name, found.get(name), under)),
            run["objective"],
        )


def _trials(name: str, gap: Gap | None, under: Mapping[str, Gap | None]) -> Iterator[RunTrial]:
    controlled = {control: kept(other) for control, other in under.items()}
    estimate = kept(gap)
    yield RunTrial(KEPT, estimate, (name,), {} if estimate.problem else controlled)
    yield RunTrial(BEFORE, _ratio(gap, 0), (name,))
    yield RunTrial(AFTER, _ratio(gap, -1), (name,))


def kept(gap: Gap | None) -> Estimate:
    """Estimate the share of the logarithm of the ratio at step 0 that is left at the last probe."""
    if gap is None or gap.steps[0] != 0 or len(gap.steps) < 2:
        return Estimate(problem=f"the gap was not measured before and after: {_PROBE}")
    before, after = gap.log_ratios[0], gap.log_ratios[-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(before != 0, after / before, np.nan)
    estimate = _of_gap(gap, shares)
    low, high = gap.interval(before)
    if low <= 0 <= high:
        numbers = ", ".join(f"{x:.3g}" for x in np.exp([low, high]))
        ratio = f"{np.exp(before[0]):.3g} [{numbers}]"
        problem = f"no gap before training that could stay: none / detailed {ratio}"
        return Estimate(shares, gap.n_questions, gap.n_left_out, problem=problem)
    return estimate


def _ratio(gap: Gap | None, place: int) -> Estimate:
    if gap is None or (place == 0 and gap.steps[0] != 0):
        return Estimate(problem=f"the gap was not measured: {_PROBE}")
    return _of_gap(gap, gap.log_ratios[place])


def _of_gap(gap: Gap, resampled: NDArray[np.float64]) -> Estimate:
    withheld = ""
    if gap.n_questions < FEWEST_QUESTIONS:
        withheld = (
            f"{gap.n_questions} probe questions have values at every step, {FEWEST_QUESTIONS} are "
            "needed for a verdict: probe more questions"
        )
    estimate = Estimate(resampled, gap.n_questions, gap.n_left_out, withheld=withheld)
    return defined(estimate, "the ratio is undefined: a mean is not positive")


def _gaps(material: TrainingMaterial, rows: pl.DataFrame, metric: str) -> dict[str, Gap]:
    """Run -> its gap, of its main responses."""
    if rows.is_empty():
        return {}
    every = gaps(rows, metric, resamples=material.resamples, seed=material.seed)
    of_run: dict[str, list[Gap]] = {}
    for gap in every:
        of_run.setdefault(str(gap.run["point_id"]), []).append(gap)
    return {name: _main(several) for name, several in of_run.items()}


def _main(several: Sequence[Gap]) -> Gap:
    main = main_responses([gap.correctness for gap in several])
    return next((gap for gap in several if gap.correctness == main), several[0])


def _summed(material: TrainingMaterial) -> pl.DataFrame:
    """Rows of runs whose loss is a mean over tokens, as if it were the sum; else none."""
    rows, metric = material.tables.rows, material.metric
    runs = rows.select(RUN).unique()
    kept_runs = [
        run["point_id"] for run in runs.iter_rows(named=True) if _is_of_mean_loss(run, metric)
    ]
    chosen = rows.filter(pl.col("source") == "probe", pl.col("point_id").is_in(kept_runs))
    return summed_over_tokens(chosen, material.tables.samples)


def _is_of_mean_loss(run: Mapping[str, str], metric: str) -> bool:
    return metric in SCALED and of_mean_loss(run["objective"], run["series"])
