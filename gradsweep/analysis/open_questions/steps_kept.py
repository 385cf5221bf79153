"""From how many steps on do gradients settle, and does their order or truth matter?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.chosen_rows import read_together
from gradsweep.analysis.claims import Control, Expected, Statement, Verdict
from gradsweep.analysis.claims.controls import OF_LOSS, REDUCTION, outcome_of
from gradsweep.analysis.claims.estimate import NO_NUMBERS, Estimate, Estimator, Judgement
from gradsweep.analysis.claims.matched import Matched
from gradsweep.analysis.claims.statistics import log_ratio_of_mads, log_ratio_of_means
from gradsweep.analysis.claims.trials import Trial, reasoning_scopes
from gradsweep.analysis.effect_sizes import quantiles
from gradsweep.analysis.open_questions.change_point import (
    FEWEST_DOSES,
    ChangePoint,
    change_point,
)
from gradsweep.analysis.open_questions.material import QuestionMaterial
from gradsweep.analysis.open_questions.question import (
    Answer,
    Answered,
    OpenQuestion,
    Scope,
    answer_of,
)
from gradsweep.analysis.open_questions.steps_tables import Curve, dose_plot, dose_table
from gradsweep.analysis.questions import FEWEST_QUESTIONS
from gradsweep.analysis.reduction import SCALED
from gradsweep.analysis.rows import CORRECT
from gradsweep.config import kept_steps
from gradsweep.records import ATTENTION_PROJECTIONS, MLP_PROJECTIONS, STUDY_OBJECTIVE, Axes

QUESTION = OpenQuestion(
    "steps_kept",
    "After how many steps do gradients settle?",
    "Responses keep the first 0, 1, 2, 4, … steps of the detailed rationale, then all of them. The "
    "size and the MAD of their gradients, over those of the whole rationale, are a dose-response "
    "curve; a line with a plateau is fitted at every dose, by least squares over log2(1 + steps), "
    "all steps counting as twice the most that were kept. There is a change point where the best "
    "of these fits better than one line does (bootstrap test at the interval's confidence). "
    "Ablations remove, reorder or falsify steps of the whole rationale, and are paired with it.",
    "More steps are more tokens: the curve of the summed loss, and that of the loss itself.",
)

KINDS: Mapping[str, tuple[str, ...]] = {
    "attention": ATTENTION_PROJECTIONS,
    "feed-forward": MLP_PROJECTIONS,
}
ALL = "detailed"
ABLATIONS = {
    "detailed_drop": "a step removed from the middle",
    "detailed_shuffled": "another order of the steps",
    "detailed_corrupted": "a wrong number in a step",
}
COUNTS = 1.1
"""The smallest ratio to all steps that counts."""
_STATISTICS = {"mean": log_ratio_of_means, "MAD": log_ratio_of_mads}
_DOSES = "`python -m gradsweep -m cot=partial cot.steps_kept=0,1,2,4` and `cot=detailed`"
RUN = f"run {_DOSES} with the same dataset, model and seed"


def settles(quantity: str, kind: str) -> Statement:
    """Say that a quantity of a kind of layers settles."""
    return Statement(
        f"the {quantity} of {kind} gradients settles after some steps",
        f"steps kept where log {quantity} settles, {kind}",
        Expected.ABOVE,
        0.0,
        0.0,
        decides=quantity == "mean",
    )


def ablated(label: str, quantity: str, kind: str) -> Statement:
    """Say that an ablation changes a quantity of a kind of layers."""
    return Statement(
        f"{ABLATIONS[label]} changes the {quantity} of {kind} gradients",
        f"{quantity}, {label} / {ALL}, {kind}",
        Expected.APART,
        1.0,
        COUNTS,
        ratio=True,
        decides=False,
    )


def answered(material: QuestionMaterial) -> Answered:
    """Find change points of every model, dataset and kind of layers, and compare ablations."""
    material = _of_doses(material)
    measured = _projections(material)
    curves: list[Curve] = []
    answers: list[Answer] = []
    for kind, projections in KINDS.items():
        if not measured & set(projections):
            continue
        of_kind = material.of_projections(projections)
        for estimator in of_kind.estimators:
            for model, dataset in reasoning_scopes(estimator.study):
                scope = Scope(model, estimator.study.series, dataset)
                found = _curves(of_kind, estimator, scope, kind)
                curves += found
                answers += _settled(of_kind, found, kind)
                answers += _ablations(of_kind, estimator, scope, kind)
    # Kinds of layers of one model and dataset side by side.
    places = {scope: place for place, scope in enumerate(dict.fromkeys(a.scope for a in answers))}
    answers.sort(key=lambda answer: places[answer.scope])
    curves.sort(key=lambda curve: places.get(curve.scope, len(places)))
    return Answered(
        QUESTION,
        tuple(answers),
        tuple(_sentences(answers)),
        (dose_table(curves, material),) if curves else (),
        (dose_plot(curves, material),) if curves else (),
        "" if curves else RUN,
    )


def _of_doses(material: QuestionMaterial) -> QuestionMaterial:
    """The points of correct responses that keep steps or change them, and whole ones; none where
    there are whole ones alone."""
    points = material.source.points
    levels = set(points["cot"].unique())
    changed = {cot for cot in levels if kept_steps(cot) is not None} | (levels & ABLATIONS.keys())
    kept = [*changed, ALL, "simplified"] if changed else []
    return material.of_points(
        points.filter(pl.col("correctness") == CORRECT, pl.col("cot").is_in(kept))
    )


def _projections(material: QuestionMaterial) -> set[str]:
    """Those that any of the points has."""
    every = read_together(material.source, [material.metric])
    return {name for rows, _ in every for name in rows["projection"].unique()}


def _curves(
    material: QuestionMaterial, estimator: Estimator, scope: Scope, kind: str
) -> list[Curve]:
    """Curves of mean and MAD over those of all steps, and of controls; none without doses."""
    at = {
        axes.cot: axes
        for axes in estimator.study.points
        if (axes.model, axes.dataset, axes.correctness) == (scope.model, scope.dataset, CORRECT)
    }
    doses = sorted((k, cot) for cot in at if (k := kept_steps(cot)) is not None)
    if ALL not in at or len(doses) + 1 < FEWEST_DOSES:
        return []
    labels = [cot for _, cot in doses] + [ALL] + [cot for cot in ("simplified",) if cot in at]
    group = {cot: at[cot] for cot in labels}
    reductions = {"": estimator}
    name = estimator.study.name
    scaled = material.metric in SCALED and estimator.study.of_mean_loss
    if scaled and name in material.claims.reduced:
        reductions[REDUCTION["mean"]] = material.claims.reduced[name]
    if name in material.claims.losses:
        reductions[OF_LOSS] = material.claims.losses[name]
    return [
        Curve(scope, kind, quantity, control, tuple(k for k, _ in doses), tuple(labels),
              *_ratios(of_reduction, group, quantity))
        for control, of_reduction in reductions.items()
        for quantity in _STATISTICS
        if control != OF_LOSS or quantity == "mean"  # a loss has no layers
    ]  # fmt: skip


def _ratios(
    estimator: Estimator, group: Mapping[str, Axes], quantity: str
) -> tuple[NDArray[np.float64], int]:
    """Logarithms of each label's value over that of all steps, (1 + resamples, labels)."""
    matched: Matched = estimator.study.matched((group,))
    if not matched.n_questions:
        return np.empty((0, len(group))), 0
    ratio = _STATISTICS[quantity]
    return np.stack([ratio(matched, cot, ALL) for cot in group], axis=1), matched.n_questions


def _settled(material: QuestionMaterial, curves: Sequence[Curve], kind: str) -> Iterator[Answer]:
    for quantity in _STATISTICS:
        of_quantity = [one for one in curves if one.quantity == quantity and len(one.log_ratios)]
        if not of_quantity or of_quantity[0].reduction:
            continue
        statement = settles(quantity, kind)
        own, *others = of_quantity
        told = _judged(own, material.confidence)
        controls = []
        for other in others:
            after = _judged(other, material.confidence)
            outcome = outcome_of(told, after, statement)
            controls.append(Control(other.reduction, outcome, *after))
        yield Answer(statement, own.scope, *told, own.n_questions, tuple(controls))


def _judged(curve: Curve, confidence: float) -> Judgement:
    """The change point with its interval where the test finds one; no numbers otherwise."""
    doses = curve.doses
    curves = curve.log_ratios[:, : len(doses)]
    if not np.isfinite(curves[0]).all():
        return Judgement(*NO_NUMBERS, Verdict.NOT_TESTABLE, "a mean is not positive somewhere")
    found = change_point(curves, curve.places)
    test = f"p = {found.p_value:.2g} against one line"
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    if curve.n_questions < FEWEST_QUESTIONS:
        reason = f"{curve.n_questions} common questions, {FEWEST_QUESTIONS} are needed ({test})"
        return Judgement(*NO_NUMBERS, Verdict.TOO_FEW, reason)
    if found.p_value < 1 - confidence:
        return _bent(curve, found, confidence, test)
    if np.abs(quantiles(curves[1:], tails)).max() < np.log(COUNTS):
        reason = f"flat: every interval lies within 0.91 and 1.1 times that of all steps ({test})"
        return Judgement(*NO_NUMBERS, Verdict.NOT_SUPPORTED, reason)
    return Judgement(*NO_NUMBERS, Verdict.UNDECIDED, f"one line fits as well ({test})")


def _bent(curve: Curve, found: ChangePoint, confidence: float, test: str) -> Judgement:
    """The change point of a curve that has one: it settles there, or goes on after the bend."""
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    at_bend = curve.log_ratios[:, found.place]
    least, most = quantiles(at_bend[1:], tails)
    there = f"{np.exp(at_bend[0]):.2g} [{np.exp(least):.2g}, {np.exp(most):.2g}] times"
    if least > np.log(COUNTS) or most < -np.log(COUNTS):
        reason = f"it bends ({test}), but goes on: there, it is {there} that of all steps"
        return Judgement(*NO_NUMBERS, Verdict.UNDECIDED, reason)
    low, high = np.quantile(found.places, tails, method="nearest")
    value, *ends = (curve.doses[place] for place in (found.place, int(low), int(high)))
    reason = f"a plateau fits better ({test}); there, it is {there} that of all steps"
    return Judgement(value, ends[0], ends[1], Verdict.SUPPORTED, reason)


def _ablations(
    material: QuestionMaterial, estimator: Estimator, scope: Scope, kind: str
) -> Iterator[Answer]:
    """Paired ratios of ablated responses to whole ones, of those that are there."""
    for label in ABLATIONS:
        group = {
            cot: Axes(scope.model, scope.dataset, cot, CORRECT, STUDY_OBJECTIVE)
            for cot in (label, ALL)
        }
        if not set(group.values()) <= estimator.study.points.keys():
            continue
        for quantity, ratio in _STATISTICS.items():
            statement = ablated(label, quantity, kind)
            trial = Trial(statement, partial(ratio, above=label, below=ALL), (group,))
            under: dict[str, Estimate] = {}
            scaled = material.metric in SCALED and estimator.study.of_mean_loss
            if scaled and (other := material.claims.reduced.get(estimator.study.name)):
                under[REDUCTION["mean"]] = other.estimate(trial)
            yield answer_of(statement, scope, estimator.estimate(trial), under, material.confidence)


def _sentences(answers: Sequence[Answer]) -> Iterator[str]:
    by_scope: dict[Scope, list[Answer]] = {}
    for answer in answers:
        by_scope.setdefault(answer.scope, []).append(answer)
    for scope, found in by_scope.items():
        said = [
            f"{answer.statement.statistic}: {answer.value:g} [{answer.low:g}, {answer.high:g}]"
            if answer.verdict is Verdict.SUPPORTED
            else f"{answer.statement.statistic}: none found ({answer.reason})"
            for answer in found
            if answer.statement.decides
        ]
        changed = [
            answer.statement.text
            for answer in found
            if not answer.statement.decides
            and answer.statement.expected is Expected.APART
            and answer.verdict is Verdict.SUPPORTED
        ]
        yield f"**{scope.model_words} · {scope.dataset}**: {'; '.join([*said, *changed])}"
