"""The user's own responses to the questions of a dataset (`cot=custom`): docs/data.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from gradsweep.config import Config, CotConfig, IrrelevantSource
from gradsweep.data.conversation import after_system
from gradsweep.data.fields import is_given, required, text_in, text_or_number_in
from gradsweep.data.files import version_of
from gradsweep.data.questions import Dataset, Question
from gradsweep.data.rows import read_rows
from gradsweep.data.table_numbers import WHOLE, number_rules, whole_numbers_note
from gradsweep.errors import ConfigError, DataError

FIELD = "cot.path"
_ALLOWED = "{question_id or prompt, response}"


def questions_config(config: Config) -> Config:
    """The condition whose questions and answers a custom level takes: the fastest there is.

    Raises:
        ConfigError: `correctness.source=paper`, whose texts are of other levels.
    """
    if config.correctness.source is IrrelevantSource.paper:
        raise ConfigError(
            "correctness.source=paper has no irrelevant responses for cot=custom; "
            "allowed are auto and generated"
        )
    levels = config.dataset.available_levels or [config.cot.level]
    return replace(config.with_one_response(), cot=CotConfig(levels[0]))


def custom_file(config: Config) -> Path:
    return Path(str(config.cot.path))


def custom_responses(config: Config) -> list[str]:
    """Every response of `cot.path`, also those to no question. Raises as below, about the file."""
    path = custom_file(config)
    return [_response(entry, f"{path}, {place}") for place, entry in read_rows(path, FIELD)]


def custom_rules(config: Config) -> frozenset[str]:
    """The rules by which responses of `cot.path` read otherwise than when points were stored."""
    path = custom_file(config)
    return frozenset().union(*_number_rules(path, version_of(path, FIELD)))


@lru_cache(maxsize=8)
def _number_rules(path: Path, version: tuple[tuple[int, int], ...]) -> list[frozenset[str]]:
    """Of each response the rules of its number, where it is one."""
    given = (entry.get("response") for _, entry in read_rows(path, FIELD))
    return [number_rules([value], (str(value),)) for value in given]


def with_custom_responses(config: Config, dataset: Dataset) -> Dataset:
    """The questions of `dataset` that `cot.path` has a response to, with that response.

    Raises:
        DataError: the file cannot be read, an entry is malformed or names a question twice, or
            none of them is a question of the dataset.
    """
    path = custom_file(config)
    known = {question.question_id: question for question in dataset.questions}
    by_prompt: dict[str, list[Question]] = {}
    for question in dataset.questions:
        by_prompt.setdefault(question.prompt, []).append(question)
    given: dict[str, str] = {}
    unknown = 0
    for place, entry in read_rows(path, FIELD):
        where = f"{path}, {place}"
        questions = _questions(entry, where, known, by_prompt)
        # A prompt that the dataset has several times takes as many responses, in their order.
        unanswered = [q for q in questions if q.question_id not in given]
        if not questions:
            unknown += 1
        elif not unanswered:
            raise DataError(f"{where}: a second response to {questions[0].prompt[:60]!r}")
        else:
            given[unanswered[0].question_id] = _response(entry, where)
    if not given:
        raise DataError(
            f"{FIELD}: {path} answers no question of dataset={config.dataset.name}; question_id "
            "or prompt must be exactly as in the dataset"
        )
    answered = tuple(
        replace(question, response=given[question.question_id], reference_log_prob=None)
        for question in dataset.questions
        if question.question_id in given
    )
    rules = _number_rules(path, version_of(path, FIELD))
    messages = (
        *dataset.messages,
        *_messages(path, unknown, len(given), len(known)),
        *whole_numbers_note(sum(WHOLE in r for r in rules), len(rules), "entries", path.name),
    )
    return Dataset(answered, answered, messages)


def _response(entry: dict[str, Any], where: str) -> str:
    response = required(entry, "response", where, _ALLOWED)
    return text_or_number_in(response, "response", where)


def _questions(
    entry: dict[str, Any],
    where: str,
    known: dict[str, Question],
    by_prompt: dict[str, list[Question]],
) -> list[Question]:
    """The questions that an entry may answer: the one of its id, or all of its prompt."""
    if is_given(entry, "question_id"):
        question = known.get(str(entry["question_id"]))
        return [question] if question else []
    if "prompt" in entry:
        prompt = text_in(entry["prompt"], "prompt", where)
        return by_prompt.get(after_system(entry, prompt, where)) or by_prompt.get(prompt, [])
    raise DataError(
        f"{where}: neither question_id nor prompt is given; given are {', '.join(entry)}. "
        f"Allowed are {_ALLOWED}"
    )


def _messages(path: Path, unknown: int, answered: int, questions: int) -> Iterator[str]:
    if unknown:
        yield f"{unknown} entries of {path.name} are no questions of this dataset: left out"
    if answered < questions:
        missing = questions - answered
        yield f"{missing} of {questions} questions have no response in {path.name}: left out"
