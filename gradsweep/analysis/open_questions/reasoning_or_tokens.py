"""Is it reasoning, or tokens? What the mean over a response's tokens does to the headline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from gradsweep.analysis.claims import Expected, Outcome, Statement, Verdict
from gradsweep.analysis.claims.controls import OF_LOSS, REDUCTION
from gradsweep.analysis.claims.estimate import Estimate
from gradsweep.analysis.claims.trials import KNOWLEDGE_PREFIX
from gradsweep.analysis.length_fit import (
    Cloud,
    gap_at_equal_length,
    slope_between,
    slope_within,
)
from gradsweep.analysis.open_questions.length_tables import (
    is_main,
    reductions_table,
    tokens_plot,
)
from gradsweep.analysis.open_questions.material import NO_SAMPLES, QuestionMaterial, scopes_of
from gradsweep.analysis.open_questions.question import (
    Answer,
    Answered,
    OpenQuestion,
    Scope,
    answer_of,
)
from gradsweep.analysis.reduction import SCALED, of_mean_loss
from gradsweep.analysis.rows import CORRECT
from gradsweep.config import cot_reading_key, matched_label
from gradsweep.records import STUDY_OBJECTIVE
from gradsweep.store.series import base_name

QUESTION = OpenQuestion(
    "reasoning_or_tokens",
    "Is it reasoning, or tokens?",
    "The loss is a mean over the response's T tokens, and a longer response has a smaller gradient "
    "by that alone. Both reductions stand side by side; log norm is fitted on log T over samples, "
    "inside conditions and between them; what decides is the ratio of no CoT to detailed CoT that "
    "is left when the slope inside the two conditions is taken out. Slope −0.5 is what independent "
    "tokens give, 0 what tokens give that all ask for the same change.",
    "Lengths of the two levels hardly overlap, so that the slope reaches beyond what it was fitted "
    "on: responses of the same length (cot.match_length) and slopes of −0.5 and −1 (the loss "
    "summed) are its controls.",
)

LEVELS = ("none", "detailed")


def _ratio(text: str, statistic: str, decides: bool = False) -> Statement:
    return Statement(text, statistic, Expected.ABOVE, 1.0, 1.1, ratio=True, decides=decides)


def _slope(text: str, statistic: str) -> Statement:
    return Statement(text, statistic, Expected.APART, 0.0, 0.1, decides=False)


LEFT = _ratio(
    "gradients are larger without CoT at equal length, too",
    "mean, none / detailed, at equal T",
    decides=True,
)
AVERAGED = _ratio(
    "gradients are larger without CoT, loss averaged over tokens", "mean, none / detailed"
)
SUMMED = _ratio(
    "gradients are larger without CoT, loss summed over tokens", "T · mean, none / detailed"
)
WITHIN = _slope(
    "inside a condition, the norm goes with length", "slope of log mean on log T, inside"
)
BETWEEN = _slope(
    "between conditions, the norm goes with length", "slope of log mean on log T, between"
)
REPEATED = _slope(
    "an answer that is only repeated or cut to another length has another norm",
    "slope of log mean on log T, same content",
)

INDEPENDENT = "slope −0.5, as of independent tokens"
RUN = (
    "run `python -m gradsweep -m cot=none,detailed` (and `cot.match_length=detailed` with cot=none)"
)
_SAME_LENGTH = (
    "every response of these conditions has the same number of tokens, or no positive norm"
)


Clouds = Mapping[str, Cloud]


def answered(material: QuestionMaterial) -> Answered:
    """Fit norms on lengths, for every model and dataset."""
    if not material.source.has_samples:
        return Answered(QUESTION, run=NO_SAMPLES)
    if material.metric not in SCALED:
        return Answered(QUESTION, run="look at a norm: metric=nuclear_norm")
    scopes = list(_scopes(material))
    answers = [answer for scope, clouds in scopes for answer in _answers(clouds, scope, material)]
    return Answered(
        QUESTION,
        tuple(answers),
        tuple(_sentences(answers)),
        (reductions_table(scopes, material),) if scopes else (),
        (tokens_plot(scopes, material),) if scopes else (),
        "" if any(answer.statement is LEFT for answer in answers) else RUN,
    )


def _scopes(material: QuestionMaterial) -> Iterator[tuple[Scope, Clouds]]:
    """Reasoning datasets with their levels, then the knowledge texts of a model, of all lengths."""
    every = material.summary.by_question
    averaged = [one for one in every["series"].unique() if of_mean_loss(STUDY_OBJECTIVE, one)]
    known = every.filter(
        pl.col("correctness") == CORRECT,
        pl.col("series").is_in(averaged),
        pl.col(material.metric).is_finite(),
        pl.col("tokens").log().is_finite(),
    )
    for scope, lines in scopes_of(known):
        yield scope, _clouds(material, lines, "cot")
    texts = known.filter(pl.col("dataset").str.starts_with(KNOWLEDGE_PREFIX))
    for (model, series), lines in texts.group_by("model", "series", maintain_order=True):
        scope = Scope(str(model), str(series), KNOWLEDGE_PREFIX.rstrip("_"))
        yield scope, _clouds(material, lines, "dataset")


def _clouds(material: QuestionMaterial, lines: pl.DataFrame, name: str) -> Clouds:
    """Condition -> its samples: levels in reading order, texts by their length."""
    found = {
        str(condition): Cloud(
            of_one["tokens"].log().to_numpy(),
            of_one[material.metric].to_numpy(),
            material.weights(of_one["question_id"].to_list()),
        )
        for (condition,), of_one in lines.sort("question_id").group_by(name, maintain_order=True)
    }
    if name == "cot":
        return {cot: found[cot] for cot in sorted(found, key=cot_reading_key)}
    return dict(sorted(found.items(), key=lambda one: float(one[1].mean_log_tokens[0])))


def _answers(clouds: Clouds, scope: Scope, material: QuestionMaterial) -> Iterator[Answer]:
    confidence = material.confidence
    if set(LEVELS) <= clouds.keys():
        above, below = (clouds[level] for level in LEVELS)
        slope = slope_within([above, below])
        for statement, taken in ((AVERAGED, 0.0), (SUMMED, -1.0)):
            gap = _estimate(material, gap_at_equal_length(above, below, taken), [above, below])
            yield answer_of(statement, scope, gap, confidence=confidence)
        left = _estimate(material, gap_at_equal_length(above, below, slope), [above, below])
        yield answer_of(LEFT, scope, left, _under(clouds, scope, material), confidence)
    main = [cloud for name, cloud in clouds.items() if is_main(name)]
    if main:
        within = _estimate(material, slope_within(main), main)
        yield answer_of(WITHIN, scope, within, confidence=confidence)
    if len(main) > 1:
        between = _estimate(material, slope_between(main), main)
        yield answer_of(BETWEEN, scope, between, confidence=confidence)
    for fast, slow in (LEVELS, LEVELS[::-1]):
        label = matched_label(fast, slow)
        if fast in clouds and label in clouds:
            pair = [clouds[fast], clouds[label]]
            yield answer_of(REPEATED, scope, _estimate(material, slope_between(pair), pair),
                            confidence=confidence)  # fmt: skip
            return


def _under(clouds: Clouds, scope: Scope, material: QuestionMaterial) -> dict[str, Estimate]:
    """The gap at equal length, made equal in other ways."""
    above, below = (clouds[level] for level in LEVELS)
    found = {
        INDEPENDENT: _estimate(material, gap_at_equal_length(above, below, -0.5), [above, below]),
        REDUCTION["mean"]: _estimate(
            material, gap_at_equal_length(above, below, -1.0), [above, below]
        ),
    }
    fast, slow = LEVELS
    for level, length in ((fast, slow), (slow, fast)):
        label = matched_label(level, length)
        name = f"{level} as long as {length}"
        if label in clouds:
            pair = (clouds[label], below) if level == fast else (above, clouds[label])
            found[name] = _estimate(material, gap_at_equal_length(*pair, 0.0), pair)
        elif level == fast:
            found[name] = Estimate(
                problem=f"run `python -m gradsweep -m model={base_name(scope.model)} "
                f"dataset={base_name(scope.dataset)} cot={level} cot.match_length={length}` "
                "with the other settings the same"
            )
    return found | _of_loss(scope, material)


def _of_loss(scope: Scope, material: QuestionMaterial) -> dict[str, Estimate]:
    """The same of the samples' loss; nothing where it is not known."""
    chosen = material.summary.by_question.filter(
        pl.col("model") == scope.model, pl.col("series") == scope.series,
        pl.col("dataset") == scope.dataset, pl.col("correctness") == CORRECT,
        pl.col("cot").is_in(LEVELS), pl.col("loss", "tokens").log().is_finite(),
    ).with_columns(pl.col("loss").log().alias(material.metric))  # fmt: skip
    clouds = _clouds(material, chosen, "cot")
    if not set(LEVELS) <= clouds.keys():
        return {}
    above, below = (clouds[level] for level in LEVELS)
    gap = gap_at_equal_length(above, below, slope_within([above, below]))
    return {OF_LOSS: _estimate(material, gap, [above, below])}


def _estimate(
    material: QuestionMaterial, resampled: np.ndarray, clouds: Sequence[Cloud]
) -> Estimate:
    return material.estimate(resampled, min(one.n_questions for one in clouds), _SAME_LENGTH)


_IN_WORDS = {
    Verdict.SUPPORTED: "reasoning, too: at equal length there is a gap left",
    Verdict.NOT_SUPPORTED: "tokens: at equal length no gap that counts is left, or it is reversed",
    Verdict.UNDECIDED: "not decided: at equal length the gap may be there or not",
    Verdict.TOO_FEW: "too few questions to decide",
    Verdict.NOT_TESTABLE: "not decided",
}


def _sentences(answers: Sequence[Answer]) -> Iterator[str]:
    """A sentence for each scope: both reductions, slopes, and what is left."""
    by_scope: dict[Scope, dict[Statement, Answer]] = {}
    for answer in answers:
        by_scope.setdefault(answer.scope, {})[answer.statement] = answer
    for scope, found in by_scope.items():
        parts = []
        if LEFT in found:
            left = found[LEFT]
            averaged, summed = (_number(found[one]) for one in (AVERAGED, SUMMED))
            parts.append(
                f"{_IN_WORDS[left.verdict]} (none / detailed {_number(left)}; as measured, "
                f"averaged over tokens {averaged}, summed {summed})"
            )
            turned = [one.name for one in left.controls if one.outcome is Outcome.REVERSED]
            parts += [f"reversed under {', '.join(turned)}"] if turned else []
        slopes = [
            f"T^{_number(found[statement])} {where}"
            for statement, where in (
                (WITHIN, "inside conditions"),
                (BETWEEN, "between them"),
                (REPEATED, "where only the length is changed"),
            )
            if statement in found and np.isfinite(found[statement].value)
        ]
        if slopes:
            parts.append(f"the averaged norm goes as {', '.join(slopes)}")
        if parts:
            yield f"**{scope.model_words} · {scope.dataset}**: {'; '.join(parts)}"


def _number(answer: Answer) -> str:
    if not np.isfinite(answer.value):
        return "–"
    ends = f" [{answer.low:.2g}, {answer.high:.2g}]" if np.isfinite(answer.low) else ""
    return f"{answer.value:.2g}{ends}"
