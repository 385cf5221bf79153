"""What would reverse a verdict: the same statistic without another thing that could explain it.

Whatever the points allow is tested in them; the rest is "not controlled for", with the command.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import polars as pl

from gradsweep.analysis.claims.estimate import (
    Estimate,
    Estimates,
    Estimator,
    Judgement,
    averaged,
    judged,
    missing,
)
from gradsweep.analysis.claims.finding import Control, Outcome, Statement, Verdict
from gradsweep.analysis.claims.matched import Study, studies_of
from gradsweep.analysis.claims.trials import Trial
from gradsweep.analysis.point_rows import Conditions, OfSamples, OtherRows, PointRows, conditions_of
from gradsweep.analysis.point_values import PointCurves
from gradsweep.analysis.reduction import SCALED, other_reduction
from gradsweep.config import matched_label
from gradsweep.records import SAMPLE_METRICS, STUDY_OBJECTIVE

RELATIVE = "MAD over the mean"
REDUCTION = {"mean": "loss summed over tokens", "sum": "loss averaged over tokens"}
"""By what the loss of the rows is."""

OF_LOSS = "the loss in place of the gradient"
"""Whether a pass forward alone says the same."""

_NO_SAMPLES = (
    "give evaluate_claims the samples (gradsweep.load_samples_table), or run "
    "`python -m gradsweep report`"
)


@dataclass(frozen=True)
class Material:
    """What controls are computed from beside the rows' own studies."""

    source: PointRows
    metric: str
    loss: str
    """What the rows are of: the mean over response tokens, or the sum."""
    resamples: int
    seed: int
    kept: Estimates | None = None
    """Estimates of before."""
    own_conditions: Conditions | None = None
    """The source's, where they hold what several metrics read."""
    controlled: bool = True
    """Whether there are controls."""

    @cached_property
    def conditions(self) -> Conditions:
        return self.own_conditions or conditions_of(self.source)

    @cached_property
    def reduced(self) -> dict[tuple[str, str], Estimator]:
        """Estimators of the other reduction of the loss, by objective and series."""
        if not self.source.has_samples:
            return {}
        return self._estimators(_Reduced(self.source, self.loss), self.metric)

    @cached_property
    def losses(self) -> dict[tuple[str, str], Estimator]:
        """Estimators of the samples' loss, by objective and series; none where they have no
        labels."""
        if not self.source.has_losses or self.metric in SAMPLE_METRICS:
            return {}
        return self._estimators(OfSamples(self.source), "loss")

    def _estimators(self, source: PointRows, metric: str) -> dict[tuple[str, str], Estimator]:
        found = studies_of(source, metric, self.resamples, self.seed)
        return {study.name: Estimator(study, self.kept) for study in found}


@dataclass(frozen=True)
class _Reduced(OtherRows):
    """Rows with the other reduction of the loss.

    Raises, when they are read:
        DataError: a sample of the rows is missing from the samples.
    """

    loss: str

    def rows(
        self, point_ids: Collection[str], metrics: Collection[str] | None = None
    ) -> pl.DataFrame:
        samples = self.samples(point_ids)
        assert samples is not None
        return other_reduction(self.source.rows(point_ids, metrics), samples, self.loss)

    def known(self, point_id: str, metric: str) -> PointCurves | None:
        known = self.source.known(point_id, metric)
        if known is None or metric not in SCALED:
            return known
        return known.summed(1 if self.loss == "mean" else -1)


def control_estimates(
    material: Material, estimator: Estimator, trial: Trial
) -> dict[str, Estimate]:
    """Estimate a trial under every control that it has, by the control's name."""
    if not material.controlled or not trial.statement.decides or trial.problem:
        return {}
    study = estimator.study
    found: dict[str, Estimate] = {}
    if material.metric in SCALED and study.of_mean_loss:
        other = material.reduced.get(study.name)
        found[REDUCTION[material.loss]] = (
            other.estimate(trial) if other else Estimate(problem=_NO_SAMPLES)
        )
    for name, of_same_length in _same_length(study, trial):
        found[name] = estimator.estimate(of_same_length)
    if trial.relative is not None:
        found[RELATIVE] = estimator.estimate(replace(trial, compute=trial.relative))
    # Of other objectives the loss is no cross-entropy, and may be the same for every sample.
    if study.objective == STUDY_OBJECTIVE and study.name in material.losses:
        of_loss = material.losses[study.name].estimate(trial)
        # Of layers a loss says nothing.
        found |= {OF_LOSS: of_loss} if not of_loss.problem else {}
    return found


def _same_length(study: Study, trial: Trial) -> Iterator[tuple[str, Trial]]:
    """The trial with one level's responses as long as the other's; one at least, there or not."""
    if trial.levels is None:
        return
    fast, slow = trial.levels
    tried = [_matched(study, trial, *pair) for pair in ((fast, slow), (slow, fast))]
    yield from [one for one in tried if not one[1].problem] or tried[:1]


def _matched(study: Study, trial: Trial, level: str, length: str) -> tuple[str, Trial]:
    label = matched_label(level, length)
    groups = tuple(
        {name: replace(axes, cot=label) if axes.cot == level else axes
         for name, axes in group.items()}
        for group in trial.groups
    )  # fmt: skip
    changed = replace(trial, groups=groups)
    problem = missing(study, changed, f"cot={level} cot.match_length={length}")
    return f"{level} as long as {length}", replace(changed, problem=problem)


def controls(
    base: Sequence[Estimate],
    under: Sequence[dict[str, Estimate]],
    statement: Statement,
    confidence: float,
) -> tuple[Control, ...]:
    """Compare a statistic with itself under every control, in the same scopes.

    Args:
        base: estimates of one scope or of several that are averaged.
        under: of each, the estimates by control.
        statement: what they are of.
        confidence: of the intervals.
    """
    names = dict.fromkeys(name for of_scope in under for name in of_scope)
    return tuple(_control(name, base, under, statement, confidence) for name in names)


def _control(
    name: str,
    base: Sequence[Estimate],
    under: Sequence[dict[str, Estimate]],
    statement: Statement,
    confidence: float,
) -> Control:
    asked = [(one, of_scope[name]) for one, of_scope in zip(base, under, strict=True)
             if name in of_scope]  # fmt: skip
    both = [(one, other) for one, other in asked if not one.problem and not other.problem]
    if not both:
        problem = next((other.problem for _, other in asked if other.problem), "no estimate")
        nothing = judged(Estimate(problem=problem), statement, confidence)
        return Control(name, Outcome.NOT_CONTROLLED, *nothing)
    before, after = (
        judged(averaged(estimates), statement, confidence) for estimates in zip(*both, strict=True)
    )
    told = after.reason
    if len(both) < len(base):
        told = f"{told} (in {len(both)} of {len(base)} models and datasets)"
    return Control(name, outcome_of(before, after, statement), *after[:4], told)


def outcome_of(before: Judgement, after: Judgement, statement: Statement) -> Outcome:
    """Say what becomes of a verdict: `before`, and `after` something is taken out."""
    verdicts = {before.verdict, after.verdict}
    if Verdict.TOO_FEW in verdicts:
        sides = {one.value > statement.null for one in (before, after)}
        return Outcome.REVERSED if len(sides) > 1 else Outcome.SAME_SIDE
    if verdicts == {Verdict.SUPPORTED, Verdict.NOT_SUPPORTED}:
        return Outcome.REVERSED
    return Outcome.SAME if len(verdicts) == 1 else Outcome.CHANGED
