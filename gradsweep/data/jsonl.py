"""The user's own file (`dataset=jsonl dataset.path=…`): formats in docs/data.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gradsweep.config import Config, CotLevel
from gradsweep.data.answers import stated_answer
from gradsweep.data.json_records import ANY_LEVEL, LEVELS, Record, read_records
from gradsweep.data.questions import Dataset, Question, question_ids
from gradsweep.errors import DataError, ExcludedPointError

FIELD = "dataset.path"


def read_jsonl(config: Config) -> Dataset:
    """The questions of `dataset.path` that have a response at `cot.level`, in file order.

    Raises:
        DataError: the file is missing, empty, not UTF-8 or malformed; says where.
        ExcludedPointError: no record has a response at the level; lists those that do.
    """
    path, level = jsonl_file(config), config.cot.level
    records = read_records(path, FIELD)
    questions = tuple(_questions(records, level))
    return Dataset(questions, questions, tuple(_messages(records, len(questions), level, path)))


def jsonl_file(config: Config) -> Path:
    """`dataset.path`, once it is known to have a response at `cot.level`. Raises as above."""
    assert config.dataset.path, "checked when the config was made"
    path = Path(config.dataset.path)
    if path.suffix not in (".jsonl", ".json"):
        raise DataError(
            f"{FIELD}: {path} must end in .jsonl (one record per line) or .json (a list)"
        )
    _require_level(read_records(path, FIELD), config.cot.level, path)
    return path


def _require_level(records: Sequence[Record], level: CotLevel, path: Path) -> None:
    if any(record.response(level) is not None for record in records):
        return
    levels = [name for name in LEVELS if any(name in record.responses for record in records)]
    raise ExcludedPointError(
        f"{FIELD}: {path} has no response at cot={level.name}: "
        f"its levels are {', '.join(levels) or 'none at all'}"
    )


def _questions(records: Sequence[Record], level: CotLevel) -> Iterator[Question]:
    derived = question_ids(record.prompt for record in records)
    for record, from_prompt in zip(records, derived, strict=True):
        response = record.response(level)
        if response is not None:
            bare = response if level is CotLevel.none else record.responses.get("none")
            yield Question(
                question_id=record.question_id or from_prompt,
                prompt=record.prompt,
                response=response,
                answer=bare or stated_answer(response),
            )


def _messages(records: Sequence[Record], kept: int, level: CotLevel, path: Path) -> Iterator[str]:
    if kept < len(records):
        yield (
            f"{len(records) - kept} of {len(records)} questions in {path.name} have no response "
            f"at cot={level.name}: left out"
        )
    if any(ANY_LEVEL in record.responses for record in records):
        yield f"{path.name} names no CoT levels: its responses are used as cot={level.name}"
