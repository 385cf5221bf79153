"""From a config to its samples: read the dataset, take the subset, apply the correctness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gradsweep.config import Config, CorrectnessKind, CotLevel, DatasetKind
from gradsweep.data.answers import same, stated_answer
from gradsweep.data.arithmetic import read_arithmetic
from gradsweep.data.irrelevant import IrrelevantResponses
from gradsweep.data.jsonl import read_jsonl
from gradsweep.data.paper import read_paper
from gradsweep.data.questions import Dataset, Question, digest
from gradsweep.records import Sample

_READERS: dict[DatasetKind, Callable[[Config], Dataset]] = {
    DatasetKind.arithmetic: read_arithmetic,
    DatasetKind.jsonl: read_jsonl,
    DatasetKind.paper: read_paper,
}


@dataclass(frozen=True)
class LoadedSamples:
    """The samples of a point, in order."""

    samples: list[Sample]
    available: int
    """How many samples the data have at this CoT level."""
    messages: list[str] = field(default_factory=list)
    """What the user must be told, one sentence each."""


def load_samples(config: Config) -> LoadedSamples:
    """The samples of a point under its conditions (paper section 3).

    The same questions are taken, in the same order, for every CoT level and correctness.

    Raises:
        DataError: a data file is missing, empty or malformed, or too small for the conditions.
        ExcludedPointError: the user's file has nothing at this CoT level.
    """
    dataset = _READERS[config.dataset.kind](config)
    taken = _take(dataset.questions, config)
    responses = _responses(dataset, taken, config)
    samples = [
        Sample(
            sample_id=digest(question.question_id, question.prompt, response),
            question_id=question.question_id,
            prompt=question.prompt,
            response=response,
            index=index,
        )
        for index, (question, response) in enumerate(zip(taken, responses, strict=True))
    ]
    notes = [_count_note(dataset, config), _kept_answers_note(dataset, taken, responses, config)]
    messages = [*dataset.messages, *(note for note in notes if note)]
    return LoadedSamples(samples, len(dataset.questions), messages)


def _take(questions: Sequence[Question], config: Config) -> Sequence[Question]:
    """The first n questions, in an order that the seed and their ids alone decide.

    So a smaller n takes a part of what a larger n takes, whatever else the file holds.
    """
    if config.dataset.shuffle:
        questions = sorted(
            questions, key=lambda question: digest(str(config.seed), question.question_id)
        )
    return questions[: config.requested_samples]


def _responses(dataset: Dataset, taken: Sequence[Question], config: Config) -> list[str]:
    if config.correctness.kind is CorrectnessKind.correct:
        return [question.response for question in taken]
    if dataset.shuffled is not None:
        return [dataset.shuffled[question.question_id] for question in taken]
    irrelevant = IrrelevantResponses(
        dataset.pool, config.cot.level, config.dataset.answer, config.seed
    )
    return [irrelevant(question) for question in taken]


def _count_note(dataset: Dataset, config: Config) -> str:
    asked, available = config.requested_samples, len(dataset.questions)
    if asked <= available:
        return ""
    field_name = "n_samples" if config.n_samples is not None else "dataset.n_samples"
    return (
        f"asked for {field_name}={asked}, {config.dataset.name} has {available}: using {available}"
    )


def _kept_answers_note(
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
