"""The records of a data file, one per question: rows of one question at several levels are one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from gradsweep.data.files import version_of
from gradsweep.data.forms import read_record
from gradsweep.data.record import Record, without_foreign_labels
from gradsweep.data.responses import ANY_LEVEL
from gradsweep.data.rows import read_rows, require_known_kind
from gradsweep.errors import DataError


def read_records(
    path: Path, field: str, names: Mapping[str, str] | None = None
) -> tuple[Record, ...]:
    """The questions of a file in the order of their first rows; read again when it has changed.

    Args:
        path: a file of a kind that `read_rows` knows.
        field: the config field that names the file, for errors.
        names: our name of a field -> its name in the file, where that is another.

    Raises:
        DataError: the file cannot be read, is empty or malformed, or a record is.
    """
    require_known_kind(path, field)
    return _read_records(path, field, tuple((names or {}).items()), version_of(path, field))


@lru_cache(maxsize=8)
def _read_records(
    path: Path,
    field: str,
    names: tuple[tuple[str, str], ...],
    version: tuple[tuple[int, int], ...],
) -> tuple[Record, ...]:
    rows = read_rows(path, field)
    records = [read_record(row, dict(names), place, f"{path}, {place}") for place, row in rows]
    return _joined(without_foreign_labels(records), path)


def _joined(records: Iterable[Record], path: Path) -> tuple[Record, ...]:
    """Join the records of a question that hold different levels of it.

    A prompt that comes again at the same level is another question, as are two records that
    name no level. What records with a label or a reward say of one question is put together when
    a point knows what it takes (`selection`).

    Raises:
        DataError: a `question_id` comes again at the same level, or with another prompt.
    """
    joined: list[Record] = []
    indices: dict[tuple[str | None, str, bool | None], list[int]] = {}
    for record in records:
        prompt = "" if record.question_id else record.prompt
        same = indices.setdefault((record.question_id, prompt, record.label), [])
        index = next((i for i in same if _fit(joined[i], record)), None)
        if index is not None:
            joined[index] = _join(joined[index], record)
        elif same and record.question_id and not _may_repeat(joined[same[0]], record):
            raise _repeated(joined[same[0]], record, path)
        else:
            same.append(len(joined))
            joined.append(record)
    return tuple(joined)


def _may_repeat(first: Record, other: Record) -> bool:
    """Whether an id may come again at a level: what is scored may be one of a group."""
    scored = other.label is not None or other.reward is not None
    return scored and first.prompt == other.prompt


def _fit(first: Record, other: Record) -> bool:
    """Whether two records of a question are one, told in two places."""
    levels = {*first.responses, *other.responses}
    return (
        first.prompt == other.prompt
        and ANY_LEVEL not in levels
        and len(levels) == len(first.responses) + len(other.responses)
        and bool(first.responses and other.responses)
    )


def _join(first: Record, other: Record) -> Record:
    return replace(
        first,
        responses={**first.responses, **other.responses},
        log_probs={**first.log_probs, **other.log_probs},
        later_rule="joined",
        text_rules=first.text_rules | other.text_rules,
        reward=first.reward if first.reward == other.reward else None,
    )


def _repeated(first: Record, other: Record, path: Path) -> DataError:
    why = (
        "ids must be unique, but for rows of one prompt at different levels"
        if first.prompt == other.prompt
        else "its prompts differ"
    )
    return DataError(
        f"{path}: question_id {other.question_id!r} stands in {first.place} and again in "
        f"{other.place}; {why}"
    )
