"""A statistic of the points of a trial, resampled, and the verdict that it gives or is too few for.

An estimate is shown wherever there is one; a verdict takes enough questions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import require_confidence
from gradsweep.analysis.claims.finding import Statement, Verdict
from gradsweep.analysis.claims.matched import Matched, Study
from gradsweep.analysis.claims.trials import Trial
from gradsweep.analysis.claims.verdicts import decide
from gradsweep.analysis.effect_sizes import quantiles
from gradsweep.analysis.questions import FEWEST_QUESTIONS
from gradsweep.analysis.rows import UNITS_OF_BOTH
from gradsweep.config import cot_reading_key
from gradsweep.errors import ConfigError
from gradsweep.records import STUDY_OBJECTIVE, Axes
from gradsweep.store.kept_tables import key_of
from gradsweep.store.series import base_name

MOST_UNDEFINED = 0.025
"""Share of resamples in which a statistic may be undefined."""


@dataclass(frozen=True)
class Estimate:
    """What there is of a statistic, in a scope or over several."""

    resampled: NDArray[np.float64] | None = field(default=None, repr=False)
    """(1 + resamples,), the observed sample first; None where the points say nothing."""
    n_questions: int = 0
    n_left_out: int = 0
    withheld: str = ""
    """Why no verdict is given although there is an interval; empty otherwise."""
    problem: str = ""
    """Why there is no interval, and what to run; empty otherwise."""


class Judgement(NamedTuple):
    value: float
    low: float
    high: float
    verdict: Verdict
    reason: str


NO_NUMBERS = (float("nan"),) * 3


_MOST_MATCHED = 8
"""Groups of conditions that are held: the trials of a model and dataset look at no more."""


class Estimates(Protocol):
    """Estimates of before."""

    def get(self, key: str) -> Estimate | None: ...

    def put(self, key: str, estimate: Estimate) -> None: ...


class Estimator:
    """Estimates the trials of one study; trials of a scope often look at the same points."""

    def __init__(self, study: Study, kept: Estimates | None = None) -> None:
        self.study = study
        self._kept = kept
        self._matched: OrderedDict[tuple[tuple[Axes, ...], ...], Matched] = OrderedDict()

    def estimate(self, trial: Trial) -> Estimate:
        problem = trial.problem or missing(self.study, trial)
        if problem:
            return Estimate(problem=problem)
        key = None if self._kept is None else self._key(trial)
        if self._kept is None or key is None:
            return _estimate(self._of(trial), trial)
        estimate = self._kept.get(key)
        if estimate is None:
            estimate = _estimate(self._of(trial), trial)
            self._kept.put(key, estimate)
        return estimate

    def _of(self, trial: Trial) -> Matched:
        key = tuple(tuple(group.values()) for group in trial.groups)
        if key not in self._matched:
            self._matched[key] = self.study.matched(trial.groups)
            if len(self._matched) > _MOST_MATCHED:
                self._matched.popitem(last=False)
        return self._matched[key]

    def _key(self, trial: Trial) -> str | None:
        """Name what the estimate follows from: the points' files and the statistic."""
        points = self.study.key(trial.groups)
        if points is None:
            return None
        computed = getattr(trial.compute, "func", trial.compute)
        settings = getattr(trial.compute, "keywords", {})
        name = f"{computed.__module__}.{computed.__qualname__}"
        statement = (trial.statement.text, trial.statement.statistic)
        return key_of(points, name, settings, statement)


def _estimate(matched: Matched, trial: Trial) -> Estimate:
    counts = matched.n_questions, matched.n_left_out
    withheld = _too_few(matched) if matched.n_questions < FEWEST_QUESTIONS else ""
    if not matched.n_questions:
        return Estimate(None, *counts, problem=withheld)
    resampled = trial.compute(matched)
    undefined = 1 - float(np.isfinite(resampled).mean())
    # A resample of few questions may well draw none of them.
    if not np.isfinite(resampled[0]) or (undefined > MOST_UNDEFINED and not withheld):
        problem = (
            f"the statistic is undefined in {undefined:.0%} of the resamples (a mean that is not "
            "positive, no spread, or no layers in a part)"
        )
        return Estimate(resampled, *counts, problem=problem)
    return Estimate(resampled, *counts, withheld=withheld)


def averaged(estimates: Sequence[Estimate]) -> Estimate:
    """Average scopes, on the scale of `resampled`; those with too few questions if all have.

    `estimates` have no problem.
    """
    resampled = np.mean([one.resampled for one in estimates if one.resampled is not None], axis=0)
    return Estimate(
        resampled,
        sum(one.n_questions for one in estimates),
        sum(one.n_left_out for one in estimates),
        withheld=estimates[0].withheld,
    )


def for_verdict(estimates: Sequence[Estimate]) -> list[int]:
    """Choose which scopes an average is of: those with a verdict, or else with an interval."""
    with_interval = [i for i, one in enumerate(estimates) if not one.problem]
    return [i for i in with_interval if not estimates[i].withheld] or with_interval


def require_draws(confidence: float, resamples: int) -> None:
    """Refuse settings whose intervals would say nothing.

    Raises:
        ConfigError: a confidence outside (0, 1), or fewer than 100 resamples.
    """
    require_confidence(confidence)
    if resamples < 100:
        raise ConfigError(f"resamples must be at least 100, got {resamples}")


def judged(estimate: Estimate, statement: Statement, confidence: float) -> Judgement:
    """Make a verdict of an estimate, with value and interval as far as there are any."""
    if estimate.resampled is None:
        return Judgement(*NO_NUMBERS, Verdict.NOT_TESTABLE, estimate.problem)
    value, low, high = _interval(estimate, statement, confidence)
    if estimate.problem:
        return Judgement(value, *NO_NUMBERS[1:], Verdict.NOT_TESTABLE, estimate.problem)
    if estimate.withheld:
        return Judgement(value, low, high, Verdict.TOO_FEW, estimate.withheld)
    return Judgement(value, low, high, *decide(low, high, statement))


def _interval(
    estimate: Estimate, statement: Statement, confidence: float
) -> tuple[float, float, float]:
    assert estimate.resampled is not None
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    low, high = quantiles(estimate.resampled[1:], tails)
    numbers = np.array([estimate.resampled[0], low, high])
    if estimate.n_questions < 2:  # one question has no spread
        numbers[1:] = np.nan
    value, low, high = (np.exp(numbers) if statement.ratio else numbers).tolist()
    return value, low, high


def points(study: Study, trial: Trial) -> tuple[str, ...]:
    """Find the trial's points that are there."""
    needed = [axes for group in trial.groups for axes in group.values()]
    return tuple(dict.fromkeys(study.points[axes] for axes in needed if axes in study.points))


def missing(study: Study, trial: Trial, cot: str = "") -> str:
    """Say what lacks and how to get it; empty when every point is there.

    `cot` are the overrides of the CoT axis, by default those of the levels by name.
    """
    needed = [axes for group in trial.groups for axes in group.values()]
    lacking = [axes for axes in needed if axes not in study.points]
    if not lacking:
        return ""
    names = ", ".join(" ".join(str(m).split(" · ")) for m in lacking)
    models, datasets, cots, kinds = (
        ",".join(dict.fromkeys(values))
        for values in (
            (base_name(m.model) for m in lacking),
            (base_name(m.dataset) for m in lacking),
            sorted((m.cot for m in lacking), key=cot_reading_key),
            (m.correctness for m in lacking),
        )
    )
    asked = f"correctness={kinds}"
    if study.objective != STUDY_OBJECTIVE:
        told = "" if study.responses in UNITS_OF_BOTH else f" {asked}"
        asked = f"objective={base_name(study.objective)}{told}"
    command = f"-m model={models} dataset={datasets} {cot or f'cot={cots}'} {asked}"
    return f"missing {names}; run `python -m gradsweep {command}` with the other settings the same"


def _too_few(matched: Matched) -> str:
    lost = f" ({matched.n_left_out} left out, not finite)" if matched.n_left_out else ""
    return (
        f"{matched.n_questions} common questions{lost}, {FEWEST_QUESTIONS} are needed for a "
        "verdict: run the same points with a larger n_samples, all with the same seed"
    )
