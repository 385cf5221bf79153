"""The samples of a config: read the dataset, take the subset, apply the correctness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from gradsweep.config import (
    Config,
    CorrectnessKind,
    CotConfig,
    CotKind,
    CotLevel,
    DatasetKind,
)
from gradsweep.data.answers import same, stated_answer
from gradsweep.data.arithmetic import read_arithmetic
from gradsweep.data.custom import questions_config, with_custom_responses
from gradsweep.data.irrelevant import (
    IrrelevantResponses,
    are_bare_answers,
    whole_responses,
    words_of,
)
from gradsweep.data.jsonl import read_jsonl
from gradsweep.data.paper.originals import read_hub
from gradsweep.data.paper.release import read_paper
from gradsweep.data.questions import Dataset, Question, digest
from gradsweep.data.sentences import TextRules
from gradsweep.data.steps import count_steps, keep_steps
from gradsweep.errors import DataError, ExcludedPointError
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
        ExcludedPointError: the user's file has nothing at this CoT level, or no question that
            also has a response at `cot.match_length`.
    """
    dataset = _read(config)
    lengths = _Lengths(config) if config.cot.match_length else None
    questions = _usable(dataset, lengths, config)
    taken = _take(questions, config)
    rules = rules_of(config)
    responses = _responses(dataset, taken, config, rules)
    references = lengths.references(taken) if lengths else [None] * len(taken)
    shortened = [_shortened(response, config.cot, rules) for response in responses]
    samples = [
        _sample(index, *parts)
        for index, parts in enumerate(zip(taken, shortened, references, strict=True))
    ]
    notes = [
        _count_note(len(questions), config),
        _kept_answers_note(dataset, taken, responses, config),
        _whole_note(dataset, responses, config),
        _steps_note(responses, config.cot, rules),
        lengths.note(len(dataset.questions) - len(questions)) if lengths else "",
    ]
    messages = [*dataset.messages, *(note for note in notes if note)]
    return LoadedSamples(samples, len(questions), messages)


def require_questions(config: Config) -> None:
    """Raise what `load_samples` would raise about the questions of a point, without its texts."""
    lengths = _Lengths(config) if config.cot.match_length else None
    _usable(_read(config), lengths, config)


def _usable(dataset: Dataset, lengths: _Lengths | None, config: Config) -> Sequence[Question]:
    """The questions that can be samples; at least one.

    Raises:
        DataError: the dataset has none.
        ExcludedPointError: none has a response at `cot.match_length`.
    """
    if not dataset.questions:
        raise DataError(f"dataset={config.dataset.name} has no questions: nothing can be measured")
    return lengths.known(dataset.questions) if lengths else dataset.questions


def _sample(index: int, question: Question, response: str, reference: str | None) -> Sample:
    reference_part = () if reference is None else (reference,)
    return Sample(
        sample_id=digest(question.question_id, question.prompt, response, *reference_part),
        question_id=question.question_id,
        prompt=question.prompt,
        response=response,
        index=index,
        same_length_as=reference,
    )


def _read(config: Config) -> Dataset:
    if config.cot.kind is CotKind.custom:
        return with_custom_responses(config, _read(questions_config(config)))
    if config.dataset.from_hub:
        return read_hub(config)
    return _READERS[config.dataset.kind](config)


class _Lengths:
    """The responses at `cot.match_length`, whose lengths those of the point get."""

    def __init__(self, config: Config) -> None:
        assert config.cot.match_length is not None
        self._config = replace(config, cot=CotConfig(config.cot.match_length))
        self._dataset = _read(self._config)
        self._by_id = {q.question_id: q for q in self._dataset.questions}

    def known(self, questions: Sequence[Question]) -> Sequence[Question]:
        """Keep the questions that have a response at `cot.match_length` too.

        Raises:
            ExcludedPointError: none has.
        """
        shared = [question for question in questions if question.question_id in self._by_id]
        if not shared:
            raise ExcludedPointError(
                f"cot.match_length={self._config.cot.level.name}: none of the {len(questions)} "
                f"questions of dataset={self._config.dataset.name} has a response at this level; "
                "allowed is a level that some of them have"
            )
        return shared

    def references(self, questions: Sequence[Question]) -> Sequence[str | None]:
        """The responses at `cot.match_length`: correct or irrelevant, as the point's own are."""
        same = [self._by_id[question.question_id] for question in questions]
        return _responses(self._dataset, same, self._config, rules_of(self._config))

    def note(self, missing: int) -> str:
        level = self._config.cot.level.name
        return f"{missing} questions have no response at cot.match_length={level}: left out" * (
            missing > 0
        )


def _shortened(response: str, cot: CotConfig, rules: TextRules) -> str:
    return keep_steps(response, cot.steps_kept, rules) if cot.kind is CotKind.partial else response


def _steps_note(responses: Sequence[str], cot: CotConfig, rules: TextRules) -> str:
    """Says so when responses stay whole because they have no more steps than are kept."""
    if cot.kind is not CotKind.partial:
        return ""
    whole = sum(count_steps(response, rules) <= cot.steps_kept for response in responses)
    if not whole:
        return ""
    return (
        f"{whole} of {len(responses)} responses have no more than "
        f"cot.steps_kept={cot.steps_kept} steps: they stay whole"
    )


def _take(questions: Sequence[Question], config: Config) -> Sequence[Question]:
    """The first n questions, in an order that the seed and their ids alone decide.

    So a smaller n takes a part of what a larger n takes, whatever else the file holds.
    """
    if config.dataset.shuffle:
        questions = sorted(
            questions, key=lambda question: digest(str(config.seed), question.question_id)
        )
    return questions[: config.requested_samples]


def rules_of(config: Config) -> TextRules:
    """The user's own texts are of any form; the paper's and the bundled ones stay as they were."""
    own = config.dataset.kind is DatasetKind.jsonl or config.cot.kind is CotKind.custom
    return TextRules.general if own else TextRules.paper


def _responses(
    dataset: Dataset, taken: Sequence[Question], config: Config, rules: TextRules
) -> list[str]:
    if config.correctness.kind is CorrectnessKind.correct:
        return [question.response for question in taken]
    if dataset.shuffled is not None:
        return [dataset.shuffled[question.question_id] for question in taken]
    level, kind = _level_of_texts(config), config.dataset.answer
    irrelevant = IrrelevantResponses(dataset.pool, level, kind, config.seed, rules)
    return [irrelevant(question) for question in taken]


def _level_of_texts(config: Config) -> CotLevel:
    """The user's own responses may be of any form: they are mixed like those with reasoning."""
    return CotLevel.detailed if config.cot.kind is CotKind.custom else config.cot.level


def _whole_note(dataset: Dataset, responses: Sequence[str], config: Config) -> str:
    """Says so when irrelevant responses are responses of other questions, as they stand there."""
    correct = config.correctness.kind is CorrectnessKind.correct
    bare = are_bare_answers(_level_of_texts(config), config.dataset.answer)
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


def _count_note(available: int, config: Config) -> str:
    asked = config.requested_samples
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
