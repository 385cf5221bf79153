"""Which step of a response carries the gradient, and does a wrong step show?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gradsweep.analysis.claims import Expected, Statement
from gradsweep.analysis.open_questions.material import NO_SAMPLES, SIGNALS, QuestionMaterial
from gradsweep.analysis.open_questions.question import (
    Answer,
    Answered,
    OpenQuestion,
    Scope,
    answer_of,
)
from gradsweep.analysis.open_questions.signals import FEW, LOSS, words_of
from gradsweep.analysis.open_questions.single_steps_tables import (
    detection_table,
    norm_table,
    share_table,
)
from gradsweep.analysis.steps import (
    Detection,
    Share,
    detections,
    shares,
    step_values,
    unspoilt,
)
from gradsweep.store.frames import metric_columns

QUESTION = OpenQuestion(
    "single_steps",
    "Which step carries the gradient, and does it show a wrong step?",
    "Each step of a response measured by itself, its n tokens given all that stands before it. A "
    "step carries the share n‖G‖ of the sum over the response's steps; beside it stands its share "
    "of the tokens. Where the data label steps, the AUC of a signal is how often the first wrong "
    "step has the larger value (of ranks the smaller) against each other step of its response; the "
    "confidence of these intervals is that of all signals together (Bonferroni).",
    "A wrong step that stands out by its loss, its length or its place alone: the AUC of what "
    "these leave of a signal (least squares over log loss, log n and place, within responses). "
    "Where the wrong step is one that was spoilt (`cot=detailed_corrupted`), that the same step "
    "stood out before: 0.5 and what the AUC has gained by spoiling it.",
)

UNSPOILT = "the same step before it was spoilt"
TAKEN_OUT = "loss, length and place taken out"
RUN = (
    "run `python -m gradsweep -m cot=detailed,detailed_corrupted gradients.by=step`, or "
    "`dataset=jsonl` with a file of labelled steps, for wrong ones"
)
_UNDEFINED = "no response has a value in all of its steps"


def carries(place: str, condition: str) -> Statement:
    """Say that a place carries more of the gradient than of the tokens."""
    return Statement(
        f"the {place} steps carry more of the gradient than of the tokens",
        f"share of the gradient over share of the tokens, {place}, {condition}",
        Expected.ABOVE,
        1.0,
        1.1,
        ratio=True,
        decides=place == "final",
        cases="responses",
    )


def shows(signal: str, condition: str) -> Statement:
    """Say that a signal finds the first wrong step."""
    return Statement(
        f"{words_of(signal)} shows the first wrong step",
        f"AUC of {words_of(signal)}, first wrong step, {condition}",
        Expected.ABOVE,
        0.5,
        0.55,
        decides=signal != LOSS,
        cases="responses",
    )


def better(signal: str, condition: str) -> Statement:
    """Say that a signal finds the first wrong step better than the loss."""
    return Statement(
        f"{words_of(signal)} shows the first wrong step better than the loss",
        f"AUC of {words_of(signal)} - that of the loss, first wrong step, {condition}",
        Expected.ABOVE,
        0.0,
        0.05,
        decides=False,
        cases="responses",
    )


def answered(material: QuestionMaterial) -> Answered:
    """Share out the gradients of every point of steps, and look for wrong steps."""
    rows, samples = material.steps.rows, material.steps.samples
    if samples is None:
        return Answered(QUESTION, run=NO_SAMPLES)
    if rows.is_empty():
        return Answered(QUESTION, run=RUN)
    settings = {"resamples": material.resamples, "seed": material.seed}
    values = step_values(rows, samples, material.metric)
    shared = shares(values, **settings)
    known = metric_columns(rows)
    names = [name for name in dict.fromkeys((material.metric, *SIGNALS)) if name in known]
    found = [_turned(one) for one in detections(rows, samples, names, **settings)]
    twin_rows, twins = unspoilt(rows, samples)
    of_twins = detections(twin_rows, twins, names, **settings) if len(twins) else []
    before = [_turned(one) for one in of_twins]
    answers = [*_shares(shared, material), *_detections(found, before, material)]
    tables = [norm_table(values, material), share_table(shared, material.confidence)]
    tables += [detection_table(found, material.confidence)] if found else []
    return Answered(
        QUESTION,
        tuple(answers),
        tuple(_sentences(shared, found, before)),
        tuple(table for table in tables if not table.frame.is_empty()),
        run="" if found else RUN,
    )


def _turned(found: Detection) -> Detection:
    """Of signals that are expected to be smaller at a wrong step, the other side counts."""
    if SIGNALS.get(found.metric) != "smaller":
        return found
    of_loss = found.auc - found.above_loss
    auc = 1 - found.auc
    return Detection(
        found.labels, found.metric, found.controlled, auc, auc - of_loss, found.n_responses
    )


def scope_of(labels: Sequence[str]) -> tuple[Scope, str]:
    """Say whose point it is, and its condition: `detailed, correct`."""
    model, dataset, cot, correctness, _, series, _ = labels
    return Scope(model, series, dataset), f"{cot}, {correctness}"


def _shares(shared: Sequence[Share], material: QuestionMaterial) -> Iterator[Answer]:
    for one in shared:
        scope, condition = scope_of(one.labels)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.log(one.share / one.token_share)
        estimate = material.estimate(ratio, one.n_questions, _UNDEFINED)
        statement = carries(one.place, condition)
        yield answer_of(statement, scope, estimate, confidence=material.confidence)


def _by_signal(
    found: Sequence[Detection], *, controlled: bool
) -> dict[tuple[tuple[str, ...], str], Detection]:
    """Point and metric -> how well it finds the first wrong step."""
    return {(one.labels, one.metric): one for one in found if one.controlled is controlled}


def _detections(
    found: Sequence[Detection], before: Sequence[Detection], material: QuestionMaterial
) -> Iterator[Answer]:
    controlled, whole = _by_signal(found, controlled=True), _by_signal(before, controlled=False)
    signals = {one.metric for one in found} - {LOSS}
    together = 1 - (1 - material.confidence) / max(len(signals), 1)
    for one in found:
        if one.controlled:
            continue
        scope, condition = scope_of(one.labels)
        left = controlled.get((one.labels, one.metric))
        under = (
            {TAKEN_OUT: material.estimate(left.auc, left.n_responses, _UNDEFINED)} if left else {}
        )
        if twin := whole.get((one.labels, one.metric)):
            n_responses = min(one.n_responses, twin.n_responses)
            under[UNSPOILT] = material.estimate(0.5 + one.auc - twin.auc, n_responses, _UNDEFINED)
        estimate = material.estimate(one.auc, one.n_responses, _UNDEFINED)
        statement = shows(one.metric, condition)
        yield answer_of(statement, scope, estimate, under, together)
        if left:
            above = material.estimate(one.above_loss, one.n_responses, _UNDEFINED)
            statement = better(one.metric, condition)
            yield answer_of(statement, scope, above, confidence=material.confidence)


def _sentences(
    shared: Sequence[Share], found: Sequence[Detection], before: Sequence[Detection]
) -> Iterator[str]:
    """Say of each point who carries what, and which of a few signals finds a wrong step."""
    whole = _by_signal(before, controlled=False)

    def was(one: Detection) -> str:
        twin = whole.get((one.labels, one.metric))
        return f" (before it was spoilt {twin.auc[0]:.2f})" if twin else ""

    for labels in dict.fromkeys(one.labels for one in shared):
        scope, condition = scope_of(labels)
        parts = ", ".join(
            f"{one.place} {one.share[0]:.0%} ({one.token_share[0]:.0%} of the tokens)"
            for one in shared
            if one.labels == labels and one.n_questions
        )
        aucs = ", ".join(
            f"{words_of(one.metric)} {one.auc[0]:.2f}{was(one)}"
            for one in found
            if one.labels == labels and one.metric in FEW and not one.controlled
        )
        told = "; ".join(filter(None, [parts, f"AUC of the first wrong step: {aucs}" * bool(aucs)]))
        yield f"**{scope.model_words} · {scope.dataset}**, {condition}: {told or _UNDEFINED}"
