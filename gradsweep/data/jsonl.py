"""The user's own file (`dataset=jsonl dataset.path=…`): formats in docs/data.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gradsweep.config import Config, CotLevel
from gradsweep.data.answers import stated_answer
from gradsweep.data.file_records import read_records
from gradsweep.data.files import content_hash
from gradsweep.data.forms import ANY_LEVEL, LEVELS, Record
from gradsweep.data.questions import Dataset, Question, digest, question_ids
from gradsweep.errors import DataError, ExcludedPointError

FIELD = "dataset.path"


def read_jsonl(config: Config) -> Dataset:
    """The questions of `dataset.path` that have a response at `cot.level`, in file order.

    Raises:
        DataError: the file is missing, empty or malformed; says where.
        ExcludedPointError: no record has a response at the level; lists those that do.
    """
    path, level = jsonl_file(config), config.cot.level
    records = _records(config)
    questions = tuple(_questions(records, level, path))
    return Dataset(questions, questions, tuple(_messages(records, len(questions), level, path)))


def jsonl_file(config: Config) -> Path:
    """`dataset.path`, once it is known to have a response at `cot.level`. Raises as above."""
    path = _path(config)
    _require_level(_records(config), config.cot.level, path)
    return path


def jsonl_fingerprint(config: Config) -> str:
    """A hash of what the file holds and of how its fields are read. Raises as above."""
    names = sorted(config.dataset.fields.given.items())
    rules = sorted({record.later_rule for record in _records(config)} - {""})
    content = content_hash(jsonl_file(config), FIELD)
    return digest("jsonl", content, *(f"{name}={in_file}" for name, in_file in names), *rules)


def _path(config: Config) -> Path:
    assert config.dataset.path, "checked when the config was made"
    return Path(config.dataset.path)


def _records(config: Config) -> tuple[Record, ...]:
    return read_records(_path(config), FIELD, config.dataset.fields.given)


def _require_level(records: Sequence[Record], level: CotLevel, path: Path) -> None:
    if any(record.response(level) is not None for record in records):
        return
    levels = [name for name in LEVELS if any(name in record.responses for record in records)]
    raise ExcludedPointError(
        f"{FIELD}: {path} has no response at cot={level.name}: "
        f"its levels are {', '.join(levels) or 'none at all'}"
    )


def _questions(records: Sequence[Record], level: CotLevel, path: Path) -> Iterator[Question]:
    derived = question_ids(record.prompt for record in records)
    ids = [record.question_id or known for record, known in zip(records, derived, strict=True)]
    _refuse_repeated(ids, records, path)
    for record, question_id in zip(records, ids, strict=True):
        response = record.response(level)
        if response is not None:
            bare = response if level is CotLevel.none else record.responses.get("none")
            answer = bare or stated_answer(response)
            yield Question(question_id, record.prompt, response, answer)


def _refuse_repeated(ids: Sequence[str], records: Sequence[Record], path: Path) -> None:
    """Refuse a file's `question_id` that happens to be the one made from another prompt."""
    places: dict[str, str] = {}
    for question_id, record in zip(ids, records, strict=True):
        if question_id in places:
            raise DataError(
                f"{path}: the questions in {places[question_id]} and {record.place} have the same "
                f"question_id {question_id!r}; give each record a question_id of its own, or none"
            )
        places[question_id] = record.place


def _messages(records: Sequence[Record], kept: int, level: CotLevel, path: Path) -> Iterator[str]:
    if kept < len(records):
        yield (
            f"{len(records) - kept} of {len(records)} questions in {path.name} have no response "
            f"at cot={level.name}: left out"
        )
    unnamed = sum(ANY_LEVEL in record.responses for record in records)
    if unnamed == len(records):
        yield f"{path.name} names no CoT levels: its responses are used as cot={level.name}"
    elif unnamed:
        yield (
            f"{unnamed} of {len(records)} questions in {path.name} name no CoT level: their "
            f"responses are used as cot={level.name}"
        )
