"""What tells an irrelevant response from a correct one, and does a gradient add to the loss?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import weighted_mean
from gradsweep.analysis.claims import Expected, Statement, Verdict
from gradsweep.analysis.claims.estimate import Estimate
from gradsweep.analysis.open_questions.detection_tables import accuracy_plot, signals_table
from gradsweep.analysis.open_questions.detectors import (
    area_under_curve,
    right,
    share,
)
from gradsweep.analysis.open_questions.material import NO_SAMPLES, QuestionMaterial
from gradsweep.analysis.open_questions.question import (
    Answer,
    Answered,
    OpenQuestion,
    Scope,
    answer_of,
)
from gradsweep.analysis.open_questions.signals import (
    FEW,
    LOSS,
    NOT_OF_GRADIENTS,
    Level,
    levels_of,
    slowest,
    words_of,
)
from gradsweep.analysis.pairs import base_and_instruct_models

QUESTION = OpenQuestion(
    "detection",
    "What detects wrong reasoning, and does a gradient tell more than the loss?",
    "A signal is right about a question where its irrelevant response has the larger loss, norm or "
    "σ₁/Σσ, or the smaller effective or stable rank. Accuracy is the share of questions (Jeffreys "
    "intervals), AUC the share of all pairs of responses. What decides is what is left when loss "
    "and length are taken out: each signal's logarithm is regressed on log loss, log T and their "
    "squares, over the responses of all other questions, and the accuracy of the rest is looked "
    "at, at the slowest level; the confidence of these intervals is that of all signals together "
    "(Bonferroni).",
    "A loss that stands in another relation to the signal than a square of logarithms (ranks in "
    "their place are a control); responses that are irrelevant in another way.",
)

RUN = "run `python -m gradsweep -m cot=none,detailed correctness=correct,irrelevant`"
RANKS = "ranks in place of logarithms"
AREA = "AUC in place of accuracy"
_TOO_FEW = "too few questions for the regression, or none drawn"


def beyond(signal: str) -> Statement:
    """Say that a signal tells something that loss and length do not."""
    return Statement(
        f"{words_of(signal)} tells something that loss and length do not",
        f"accuracy of {words_of(signal)}, loss and T taken out",
        Expected.ABOVE,
        0.5,
        0.55,
    )


def better(signal: str) -> Statement:
    """Say that a signal is right more often than the loss."""
    return Statement(
        f"{words_of(signal)} is right more often than the loss",
        f"accuracy, {words_of(signal)} - loss larger",
        Expected.ABOVE,
        0.0,
        0.05,
        decides=False,
    )


def instruct_better(signal: str) -> Statement:
    """Say that an instruct model's signal is right more often than its base model's."""
    return Statement(
        f"the instruct model's {words_of(signal)} is right more often than the base model's",
        f"accuracy of {words_of(signal)}, instruct - base",
        Expected.ABOVE,
        0.0,
        0.05,
        decides=False,
    )


def answered(material: QuestionMaterial) -> Answered:
    """Measure every signal at every level that has both kinds of responses."""
    if not material.source.has_samples:
        return Answered(QUESTION, run=NO_SAMPLES)
    levels = list(levels_of(material))
    if not levels:
        return Answered(QUESTION, run=RUN)
    answers = [answer for level in slowest(levels) for answer in _of_level(level, material)] + list(
        _base_and_instruct(levels, material)
    )
    table = signals_table(levels, material.confidence)
    return Answered(
        QUESTION,
        tuple(answers),
        tuple(_sentences(levels, answers)),
        (table,),
        (accuracy_plot(table),),
    )


def _of_level(level: Level, material: QuestionMaterial) -> Iterator[Answer]:
    """What gradients tell beyond the loss, and whether they are right more often."""
    of_gradients = [name for name in level.signals if name not in NOT_OF_GRADIENTS]
    together = 1 - (1 - material.confidence) / max(len(of_gradients), 1)
    for signal in of_gradients:
        left, ranked = (level.left_of(signal, ranked=ranked) for ranked in (False, True))
        if left is not None and ranked is not None:
            found, of_ranks = (
                _estimate(share(right(*one), material.resamples), level, material)
                for one in (left, ranked)
            )
            area = _estimate(area_under_curve(*left, level.weights), level, material)
            under = {RANKS: of_ranks, AREA: area}
            yield answer_of(beyond(signal), level.scope, found, under, together)
    for signal in of_gradients:
        difference = level.scores(signal) - level.scores(LOSS)
        found = _estimate(weighted_mean(level.weights, difference), level, material)
        yield answer_of(better(signal), level.scope, found, confidence=material.confidence)


def _estimate(resampled: NDArray[np.float64], level: Level, material: QuestionMaterial) -> Estimate:
    return material.estimate(resampled, level.n_questions, _TOO_FEW)


def _base_and_instruct(levels: Sequence[Level], material: QuestionMaterial) -> Iterator[Answer]:
    """Accuracy of instruct over that of base models, over the questions of both, at the slowest
    level that both have."""
    at = {(level.scope, level.cot): level for level in levels}
    pairs = base_and_instruct_models({level.scope.model for level in levels})
    for base, instruct in pairs:
        found: dict[tuple[str, str], tuple[Level, Level]] = {}
        for level in levels:
            scope = level.scope
            other = at.get((Scope(instruct, scope.series, scope.dataset), level.cot))
            if scope.model == base and other is not None:
                found[scope.series, scope.dataset] = (level, other)  # the last is the slowest
        for (series, dataset), both in found.items():
            scope = Scope(f"{base} → {instruct}", series, dataset)
            yield from _compared(scope, *both, material)


def _compared(
    scope: Scope, base: Level, instruct: Level, material: QuestionMaterial
) -> Iterator[Answer]:
    common = sorted(set(base.question_ids) & set(instruct.question_ids))
    if not common:
        return
    rows = [[one.question_ids.index(name) for name in common] for one in (base, instruct)]
    weights = base.weights[:, rows[0]]
    for signal in FEW:
        if signal in base.signals and signal in instruct.signals:
            one, other = (
                level.scores(signal)[chosen]
                for level, chosen in zip((base, instruct), rows, strict=True)
            )
            found = material.estimate(weighted_mean(weights, other - one), len(common), _TOO_FEW)
            yield answer_of(instruct_better(signal), scope, found, confidence=material.confidence)


def _sentences(levels: Sequence[Level], answers: Sequence[Answer]) -> Iterator[str]:
    """A sentence for each scope: who is right how often, and what is left beside the loss."""
    by_scope: dict[Scope, list[Level]] = {}
    for level in levels:
        by_scope.setdefault(level.scope, []).append(level)
    for scope, of_scope in by_scope.items():
        ends = {level.cot: level for level in (of_scope[0], of_scope[-1])}
        said = [f"{_counts(level)} with cot={cot}" for cot, level in ends.items()]
        beside = [one for one in answers if one.scope == scope and one.statement.decides]
        tell = [one.statement.text for one in beside if one.verdict is Verdict.SUPPORTED]
        left = "; ".join(tell) or (
            "no signal of gradients is shown to tell something that loss and length do not"
            if beside else "too few questions to take the loss out"
        )  # fmt: skip
        place = f"**{scope.model_words} · {scope.dataset}**"
        yield f"{place}: {'; '.join(said)}. Beside the loss: {left}"


def _counts(level: Level) -> str:
    """`right of 16: loss larger 16, nuclear norm larger 12`."""
    counts = ", ".join(
        f"{words_of(signal)} {level.scores(signal).sum():g}"
        for signal in level.signals
        if signal in FEW
    )
    return f"right of {level.n_questions}: {counts}"
