"""Which layers, kinds and heads respond most to irrelevant responses?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import weighted_mean
from gradsweep.analysis.claims import Expected, Statement
from gradsweep.analysis.claims.estimate import Estimate
from gradsweep.analysis.open_questions.effects import Effects, effects_of
from gradsweep.analysis.open_questions.frozen_layers import (
    Frozen,
    command,
    freezing_answers,
    freezing_said,
    freezing_table,
    frozen_of,
)
from gradsweep.analysis.open_questions.material import QuestionMaterial
from gradsweep.analysis.open_questions.question import (
    Answer,
    Answered,
    OpenQuestion,
    answer_of,
)
from gradsweep.analysis.open_questions.where_tables import (
    head_tables,
    heads_said,
    layer_plot,
    part_table,
    slowest_heads,
)
from gradsweep.records import ATTENTION_PROJECTIONS, MLP_PROJECTIONS

Floats = NDArray[np.float64]

QUESTION = OpenQuestion(
    "where_it_responds",
    "Which layers, kinds and heads respond most?",
    "The effect of a matrix, or of one attention head's part of it, is log(irrelevant/correct) of "
    "its norm, question by question, at the slowest level that has both. Effects are averaged over "
    "early and late layers, and over kinds of projections, and compared within each question. Of "
    "single heads every one is tested (Wilcoxon's signed ranks, Benjamini-Hochberg over all), and "
    "the effects of heads in one half of the questions are correlated with those in the other "
    "half: where the same heads respond, the correlation is above zero. A check by freezing trains "
    "only the layers that respond most, least, or were drawn at random, and compares what is left "
    "of the held-out loss after equal steps.",
    "Another norm of the same gradients (tested), another kind of irrelevant response; of the "
    "check by freezing, random layers of which as much is learnt (tested), another learning rate, "
    "and that layers which respond alike also lie in one part of the model. Summing the "
    "loss over tokens cannot: it multiplies every matrix of a response's gradient by one factor, "
    "which these ratios and correlations do not see.",
)

RUN = (
    "run `python -m gradsweep -m correctness=correct,irrelevant cot=detailed gradients.heads=true`"
)
OTHER_NORM, _OTHER_NORM_WORDS = "frobenius_norm", "the Frobenius norm in its place"

EARLY = Statement(
    "early layers respond otherwise than late ones",
    "effect of early layers / late layers",
    Expected.APART, 1.0, 1.05, ratio=True,
)  # fmt: skip
QUERIES = Statement(
    "queries and keys respond otherwise than values and outputs",
    "effect of Q K / V O",
    Expected.APART, 1.0, 1.05, ratio=True, decides=False,
)  # fmt: skip
ATTENTION = Statement(
    "attention responds otherwise than feed-forward layers",
    "effect of attention / feed-forward",
    Expected.APART, 1.0, 1.05, ratio=True, decides=False,
)  # fmt: skip
SAME_HEADS = Statement(
    "the same heads respond in other questions",
    "correlation of heads' effects between halves of the questions",
    Expected.ABOVE, 0.0, 0.3,
)  # fmt: skip
_GROUPS: Mapping[Statement, tuple[tuple[str, tuple[str, ...]], tuple[str, tuple[str, ...]]]] = {
    EARLY: (("part", ("early",)), ("part", ("late",))),
    QUERIES: (("projection", ("q", "k")), ("projection", ("v", "o"))),
    ATTENTION: (("projection", ATTENTION_PROJECTIONS), ("projection", MLP_PROJECTIONS)),
}


def answered(material: QuestionMaterial) -> Answered:
    """Compare layers, kinds and heads of every model and dataset."""
    metric = material.metric
    measured = (metric, OTHER_NORM) if OTHER_NORM in material.summary.measured else (metric,)
    kinds = [(name, heads) for name in dict.fromkeys(measured) for heads in (False, True)]
    found_effects = effects_of(material, kinds)
    whole, heads = found_effects[metric, False], found_effects[metric, True]
    if not whole:
        return Answered(QUESTION, run=RUN)
    others = metric != OTHER_NORM and OTHER_NORM in measured
    other, other_heads = (
        found_effects[OTHER_NORM, of_heads] if others else [] for of_heads in (False, True)
    )
    found = slowest_heads(material) if heads else None
    answers = [*_compared(material, whole, other), *_repeated(material, heads, other_heads)]
    frozen = frozen_of(material.training, whole) if material.training else []
    tables = [part_table(whole, material), *(() if found is None else head_tables(found))]
    with_values = [one for one in frozen if one.question_ids]
    tables += [freezing_table(with_values, material)] if with_values else []
    checked = freezing_answers(frozen, material)
    return Answered(
        QUESTION,
        (*answers, *checked),
        (*_said(answers, whole, found), *freezing_said(checked)),
        tuple(tables),
        (layer_plot(whole, material),),
        "; ".join([*([] if heads else [RUN]), *_to_freeze(whole, frozen)]),
    )


def _to_freeze(whole: Sequence[Effects], frozen: Sequence[Frozen]) -> Iterator[str]:
    """What checks the layers of models and datasets without such runs."""
    checked = {(one.scope.model, one.scope.dataset) for one in frozen}
    for effects in whole:
        if (effects.scope.model, effects.scope.dataset) not in checked:
            yield f"to check its layers by freezing the others, run {command(effects)}"


def _compared(
    material: QuestionMaterial, whole: Sequence[Effects], other: Sequence[Effects]
) -> Iterator[Answer]:
    controls = {effects.scope: effects for effects in other}
    for effects in whole:
        for statement, groups in _GROUPS.items():
            estimate = _difference(material, effects, *groups)
            if estimate is None:
                continue
            control = controls.get(effects.scope)
            after = _difference(material, control, *groups) if control else None
            under = {_OTHER_NORM_WORDS: after} if after else {}
            yield answer_of(statement, effects.scope, estimate, under, material.confidence)


def _difference(
    material: QuestionMaterial,
    effects: Effects,
    one: tuple[str, tuple[str, ...]],
    other: tuple[str, tuple[str, ...]],
) -> Estimate | None:
    """The mean difference of two groups of cells within a question; None where one is empty."""
    first, second = effects.mean_of(*one), effects.mean_of(*other)
    if first is None or second is None:
        return None
    weights = material.weights(effects.question_ids)
    resampled = weighted_mean(weights, first - second)
    return material.estimate(resampled, len(effects.question_ids), "no question was drawn")


def _repeated(
    material: QuestionMaterial, heads: Sequence[Effects], other: Sequence[Effects]
) -> Iterator[Answer]:
    controls = {effects.scope: effects for effects in other}
    for effects in heads:
        control = controls.get(effects.scope)
        under = {_OTHER_NORM_WORDS: _correlation(material, control)} if control else {}
        estimate = _correlation(material, effects)
        yield answer_of(SAME_HEADS, effects.scope, estimate, under, material.confidence)


def _correlation(material: QuestionMaterial, effects: Effects) -> Estimate:
    """Between the mean effects of heads in every other question and in the rest."""
    weights = material.weights(effects.question_ids)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [
            weights[:, half] @ effects.values[half] / weights[:, half].sum(axis=1, keepdims=True)
            for half in (slice(0, None, 2), slice(1, None, 2))
        ]
        first, second = (mean - mean.mean(axis=1, keepdims=True) for mean in means)
        norms = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
        resampled = _unshrunk((first * second).sum(axis=1) / norms)
    return material.estimate(resampled, len(effects.question_ids), "all heads respond alike")


def _unshrunk(correlations: Floats) -> Floats:
    """Move the resamples' correlations to where the observed one lies.

    A resample has fewer different questions, so that the means of its halves are noisier and agree
    less: all of its correlations are lower. Their median is put at the observed one, on the scale
    of Fisher's z, where their spread does not depend on their size.
    """
    z = np.arctanh(np.clip(correlations, -1 + 1e-12, 1 - 1e-12))
    if np.isfinite(z[1:]).any():  # one question has no two halves
        z[1:] += z[0] - np.nanmedian(z[1:])
    return np.asarray(np.tanh(z))


def _said(
    answers: Sequence[Answer],
    whole: Sequence[Effects],
    found: pl.DataFrame | None,
) -> Iterator[str]:
    of_heads = {} if found is None else heads_said(found)
    for effects in whole:
        own = [one for one in answers if one.scope == effects.scope]
        told = [
            f"{one.statement.statistic} {one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"
            for one in own
        ]
        told += of_heads.get(effects.scope, [])
        yield f"**{effects.scope.model_words} · {effects.scope.dataset}**: {'; '.join(told)}"
