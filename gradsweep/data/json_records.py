"""Reading and checking records: the content of `.jsonl` files and of `.json` lists.

A record is either ours, `{question_id?, prompt, responses: {none?, simplified?, detailed?}}`, or
the paper's, `{instruction, input?, output}`. Every error says where it is, what was given and
what is allowed; docs/data.md shows examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gradsweep.config import CotLevel
from gradsweep.data.files import parse_json, read_text, stat_of
from gradsweep.errors import DataError

LEVELS = tuple(level.name for level in CotLevel)
_FORMS = {
    "prompt": "{question_id?, prompt, responses} and {instruction, input?, output}",
    "response": "{question_id or prompt, response}",
}
"""The whole forms of a record, shown when this field of it is missing."""
ANY_LEVEL = "any"
"""Key of the one response of a record in the paper's form, which names no level."""


@dataclass(frozen=True)
class Record:
    """One checked record."""

    place: str
    """Where it stands, for messages: `line 3`."""
    question_id: str | None
    """The id in the file; without one (None) the prompt decides it."""
    prompt: str
    responses: dict[str, str]
    """Level name, or `ANY_LEVEL`, -> response."""

    def response(self, level: CotLevel) -> str | None:
        return self.responses.get(level.name, self.responses.get(ANY_LEVEL))


def read_records(path: Path, field: str) -> tuple[Record, ...]:
    """Every record of a file in order; parsed again only when the file has changed.

    Args:
        path: a `.jsonl` file with one record per line, or any other with a JSON list.
        field: the config field that names the file, for errors.

    Raises:
        DataError: the file cannot be read, is empty, not UTF-8, malformed, or a record is.
    """
    stat = stat_of(path, field)
    return _read_records(path, field, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _read_records(path: Path, field: str, mtime_ns: int, size: int) -> tuple[Record, ...]:
    values = _values(path, field)
    records = tuple(_record(value, place, f"{path}, {place}") for place, value in values)
    _refuse_repeated_ids(records, path)
    return records


def read_objects(path: Path, field: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file in order, each with where it stands; raises as `read_records`."""
    for place, value in _values(path, field):
        where = f"{path}, {place}"
        yield where, _object(value, where)


def _values(path: Path, field: str) -> Iterator[tuple[str, Any]]:
    text = read_text(path, field)
    return _lines(text, path) if path.suffix == ".jsonl" else _list_items(text, path)


def _lines(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    # Not splitlines(): it also splits at U+2028 and others, which JSON strings may hold.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"line {number}", parse_json(line, path, first_line=number)


def _list_items(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    items = parse_json(text, path)
    if not isinstance(items, list) or not items:
        raise DataError(
            f"{path} must hold a JSON list of records, got {_kind(items)}; "
            "a file with one record per line must be named .jsonl"
        )
    for number, item in enumerate(items, start=1):
        yield f"item {number} of the list", item


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: a record must be an object {{…}}, got {_kind(value)}")
    return value


def _record(given: Any, place: str, where: str) -> Record:
    value = _object(given, where)
    if "instruction" in value and "prompt" not in value:
        instruction = text_of(value, "instruction", where, may_be_empty=False)
        extra = "" if value.get("input") is None else text_of(value, "input", where)
        prompt = f"{instruction}\n{extra}" if extra else instruction
        responses = {ANY_LEVEL: text_of(value, "output", where)}
    else:
        prompt = text_of(value, "prompt", where, may_be_empty=False)
        responses = _responses(value, where)
    return Record(place, _question_id(value, where), prompt, responses)


def _responses(value: dict[str, Any], where: str) -> dict[str, str]:
    responses = _field(value, "responses", where)
    if not isinstance(responses, dict):
        raise DataError(
            f"{where}: field 'responses' must be an object with any of {', '.join(LEVELS)}, "
            f"got {_kind(responses)}"
        )
    for name in responses:
        if name not in LEVELS:
            raise DataError(
                f"{where}: field 'responses' has the unknown level {name!r}; "
                f"allowed are {', '.join(LEVELS)}"
            )
    given = [name for name, text in responses.items() if text is not None]
    return {name: text_of(responses, name, f"{where}, field 'responses'") for name in given}


def _question_id(value: dict[str, Any], where: str) -> str | None:
    given = value.get("question_id")
    if given is None:
        return None
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)
    return text_of(value, "question_id", where, may_be_empty=False)


def _field(value: dict[str, Any], name: str, where: str) -> Any:
    if name not in value:
        raise DataError(
            f"{where}: field {name!r} is missing; given are {', '.join(value) or 'no fields'}. "
            f"Allowed are {_FORMS.get(name, _FORMS['prompt'])}"
        )
    return value[name]


def text_of(value: dict[str, Any], name: str, where: str, *, may_be_empty: bool = True) -> str:
    """The text in field `name`. Raises `DataError` when it is missing, or no usable text."""
    text = _field(value, name, where)
    if not isinstance(text, str):
        raise DataError(f"{where}: field {name!r} must be a text, got {_kind(text)}")
    if not may_be_empty and not text.strip():
        raise DataError(f"{where}: field {name!r} is empty; it must hold some text")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise DataError(f"{where}: field {name!r} holds half a character (\\ud800 to \\udfff)")
    return text


def _kind(value: Any) -> str:
    """What a JSON value is, as a user would call it."""
    if isinstance(value, (list, dict, str)):
        noun = {list: "list", dict: "object", str: "text"}[type(value)]
        article = "an" if noun == "object" or not value else "a"
        return f"{article} {noun}" if value else f"an empty {noun}"
    return {None: "null", True: "true", False: "false"}.get(value, f"the number {value}")


def _refuse_repeated_ids(records: tuple[Record, ...], path: Path) -> None:
    places: dict[str, str] = {}
    for record in records:
        if record.question_id is None:
            continue
        if record.question_id in places:
            raise DataError(
                f"{path}: question_id {record.question_id!r} stands in "
                f"{places[record.question_id]} and again in {record.place}; ids must be unique"
            )
        places[record.question_id] = record.place
