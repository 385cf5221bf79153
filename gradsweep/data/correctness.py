"""The axis correctness: which responses to a question a point takes, and which are made for it."""

from __future__ import annotations

from collections.abc import Sequence

from gradsweep.config import Config, CorrectnessKind
from gradsweep.data.irrelevant import IrrelevantResponses, level_of_texts
from gradsweep.data.questions import Dataset, Question, Response
from gradsweep.data.sentences import TextRules


def responses_of(
    dataset: Dataset, taken: Sequence[Question], config: Config, rules: TextRules
) -> list[tuple[Response, ...]]:
    """Take what the point has of each question: one response, chosen and rejected, or a group."""
    kind = config.correctness.kind
    if any(question.group for question in taken):
        return [question.group for question in taken]
    correct = [Response(q.response, 1.0, q.reference_log_prob, q.steps) for q in taken]
    if kind is CorrectnessKind.correct:
        return [(response,) for response in correct]
    irrelevant = _irrelevant(dataset, taken, config, rules)
    if kind is CorrectnessKind.irrelevant:
        return [(response,) for response in irrelevant]
    return list(zip(correct, irrelevant, strict=True))


def _irrelevant(
    dataset: Dataset, taken: Sequence[Question], config: Config, rules: TextRules
) -> list[Response]:
    """The data's own irrelevant responses, the paper's, or generated ones."""
    own = [question.rejected for question in taken if question.rejected is not None]
    if own:
        return own
    if dataset.shuffled is not None:
        return [Response(dataset.shuffled[question.question_id], 0.0) for question in taken]
    level, kind = level_of_texts(config), config.dataset.answer
    generated = IrrelevantResponses(dataset.pool, level, kind, config.seed, rules)
    return [Response(generated(question), 0.0) for question in taken]


def irrelevant_texts(
    taken: Sequence[Question], responses: Sequence[Sequence[Response]], config: Config
) -> list[str]:
    """Take the irrelevant responses that are not the user's own; empty where there are none."""
    own = any(question.group or question.rejected for question in taken)
    if own or config.correctness.kind is CorrectnessKind.correct:
        return []
    return [of_one[-1].text for of_one in responses]
