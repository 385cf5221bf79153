"""What a user must be told about the samples of a point, one sentence each; "" for nothing."""

from __future__ import annotations

from collections.abc import Sequence

from gradsweep.config import Config, CorrectnessKind, CotConfig, CotLevel
from gradsweep.data.answers import same, stated_answer
from gradsweep.data.irrelevant import are_bare_answers, level_of_texts, whole_responses, words_of
from gradsweep.data.questions import Dataset, Question
from gradsweep.data.sentences import TextRules
from gradsweep.data.steps import count_steps


def count_note(available: int, config: Config) -> str:
    asked = config.requested_samples
    if asked <= available:
        return ""
    field_name = "n_samples" if config.n_samples is not None else "dataset.n_samples"
    return (
        f"asked for {field_name}={asked}, {config.dataset.name} has {available}: using {available}"
    )


def kept_answers_note(
    dataset: Dataset, taken: Sequence[Question], responses: Sequence[str], config: Config
) -> str:
    """Says so when the paper's irrelevant responses are partly correct, as some are."""
    if dataset.shuffled is None:
        return ""

    def final(response: str) -> str:
        bare = response if config.cot.level is CotLevel.none else None
        return bare or stated_answer(response) or response

    kept = sum(
        same(final(question.response), final(response))
        for question, response in zip(taken, responses, strict=True)
    )
    if not kept:
        return ""
    return (
        f"{kept} of {len(taken)} irrelevant responses in the paper's file end on the correct "
        "answer; correctness.source=generated never does"
    )


def whole_note(dataset: Dataset, responses: Sequence[str], config: Config) -> str:
    """Says so when irrelevant responses are responses of other questions, as they stand there."""
    correct = config.correctness.kind is CorrectnessKind.correct
    bare = are_bare_answers(level_of_texts(config), config.dataset.answer)
    if correct or bare or dataset.shuffled is not None:
        return ""
    whole = whole_responses(dataset.pool)
    count = sum(words_of(response) in whole for response in responses)
    if not count:
        return ""
    return (
        f"{count} of {len(responses)} irrelevant responses are a whole response of another "
        "question: texts of one sentence, or without end marks of sentences, cannot be mixed"
    )


def steps_note(responses: Sequence[str], cot: CotConfig, rules: TextRules) -> str:
    """Says so when responses stay whole because they have no more steps than are kept."""
    whole = sum(count_steps(response, rules) <= cot.steps_kept for response in responses)
    if not whole:
        return ""
    return (
        f"{whole} of {len(responses)} responses have no more than "
        f"cot.steps_kept={cot.steps_kept} steps: they stay whole"
    )
