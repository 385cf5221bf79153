"""The forms of a record: which of its fields is the prompt and which are responses.

docs/data.md shows an example of each. `PROMPTS` and `RESPONSES` are the fields that are looked
for, in their order; a form is one of the first with one of the second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gradsweep.config import CotLevel
from gradsweep.data.answers import split_worked_solution
from gradsweep.data.conversation import Turn, as_prompt, read_turns, split_conversation
from gradsweep.data.fields import is_given, required, shown, text_in, text_or_number_in, value_kind
from gradsweep.errors import DataError

LEVELS = tuple(level.name for level in CotLevel)
ANY_LEVEL = "any"
"""Key of the one response of a record that names no level."""
_ALLOWED = (
    "{question_id?, prompt, responses}, {prompt, level, response}, {prompt, none?, simplified?, "
    "detailed?}, {prompt, completion or response}, {instruction, input?, output}, {question, "
    "answer}, {messages} and {conversations}; dataset.fields.<field>=<name in the file> says "
    "where a field has another name"
)
_CONVERSATIONS = ("messages", "conversations")
_NO_INPUT = re.compile(r"[<\[(]?\s*no[ _]?input\s*[>\])]?\.?", re.IGNORECASE)
"""How Alpaca's records say that there is no input."""


@dataclass(frozen=True)
class Record:
    """One checked record, or several of one question at different levels."""

    place: str
    """Where it stands, for messages: `line 3`."""
    question_id: str | None
    """The id in the file; without one (None) the prompt decides it."""
    prompt: str
    responses: Mapping[str, str]
    """Level name, or `ANY_LEVEL`, -> response."""
    later_rule: str = ""
    """The rule by which it reads otherwise than when points of such a file were first stored; a
    part of the id of points since."""

    def response(self, level: CotLevel) -> str | None:
        return self.responses.get(level.name, self.responses.get(ANY_LEVEL))


def read_record(given: dict[str, Any], names: Mapping[str, str], place: str, where: str) -> Record:
    """The record in a row.

    Args:
        given: the row by field.
        names: `dataset.fields`: our name of a field -> its name in the file.
        place: where it stands in the file, and `where` with the file, for errors.

    Raises:
        DataError: it has no known form, or a field holds what it must not.
    """
    row = _renamed(given, names, where)
    question_id = _question_id(row, where)
    if name := _conversation_field(row, names):
        prompt, response = split_conversation(_turns(row, name, where), name, where)
        return Record(place, question_id, prompt, response.levels or {ANY_LEVEL: response.text})
    prompt, later_rule = _prompt(row, where)
    return Record(place, question_id, prompt, _responses(row, names, where), later_rule)


def _conversation_field(row: dict[str, Any], names: Mapping[str, str]) -> str | None:
    """The field with a conversation, unless prompt and response stand in fields of their own."""
    has_prompt = any(is_given(row, name) for name in ("prompt", "instruction", "question"))
    has_response = any(is_given(row, name) for name in ("responses", "output", *_FORMS))
    if has_prompt and has_response and "messages" not in names:
        return None
    return next((name for name in _CONVERSATIONS if is_given(row, name)), None)


def _turns(row: dict[str, Any], name: str, where: str) -> tuple[Turn, ...]:
    """The turns of a conversation, after the system's where that has a field of its own."""
    turns = read_turns(row[name], name, where)
    if not is_given(row, "system"):
        return turns
    return (Turn("system", text_in(row["system"], "system", where)), *turns)


def _renamed(row: dict[str, Any], names: Mapping[str, str], where: str) -> dict[str, Any]:
    for name, in_file in names.items():
        if in_file not in row:
            raise DataError(
                f"{where}: dataset.fields.{name}={in_file}: there is no such field; given are "
                f"{', '.join(row) or 'no fields'}"
            )
    return row | {name: row[in_file] for name, in_file in names.items()}


def _prompt(row: dict[str, Any], where: str) -> tuple[str, str]:
    """The prompt, and the name of the rule that made it another text than it was once."""
    if "instruction" in row and "prompt" not in row:
        return _instruction(row, where)
    is_question = "question" in row and "prompt" not in row and "answer" in row
    name = "question" if is_question else "prompt"
    value = required(row, name, where, _ALLOWED)
    if isinstance(value, list):
        return as_prompt(read_turns(value, name, where), name, where), ""
    return text_in(value, name, where, may_be_empty=False), ""


def _instruction(row: dict[str, Any], where: str) -> tuple[str, str]:
    """The paper's (Alpaca's) prompt: the instruction, then the input on a line of its own."""
    extra = text_or_number_in(row["input"], "input", where) if is_given(row, "input") else ""
    no_input = not extra.strip() or _NO_INPUT.fullmatch(extra.strip())
    instruction = text_in(row["instruction"], "instruction", where, may_be_empty=not no_input)
    if no_input:
        return instruction, "no input" if extra else ""
    return (f"{instruction}\n{extra}" if instruction.strip() else extra), ""


def _responses(row: dict[str, Any], names: Mapping[str, str], where: str) -> dict[str, str]:
    mapped = [name for name in _FORMS if name in names]
    if not mapped and is_given(row, "responses"):
        return _by_level(row["responses"], where)
    if not mapped and "output" in row and "instruction" in row and "prompt" not in row:
        return _one(row, "output", where)
    for name in mapped or _FORMS:
        if is_given(row, name):
            return _FORMS[name](row, where)
    if any(name in row for name in _FORMS):
        return {}  # a table has null where a question has no response
    name = "output" if "instruction" in row and "prompt" not in row else "responses"
    return _by_level(required(row, name, where, _ALLOWED), where)


def _by_level(responses: Any, where: str) -> dict[str, str]:
    if not isinstance(responses, dict):
        raise DataError(
            f"{where}: field 'responses' must be an object with any of {', '.join(LEVELS)}, "
            f"got {value_kind(responses)}"
        )
    for name in responses:
        if name not in LEVELS:
            raise DataError(
                f"{where}: field 'responses' has the unknown level {name!r}; "
                f"allowed are {', '.join(LEVELS)}"
            )
    return _levels(responses, f"{where}, field 'responses'")


def _levels(row: dict[str, Any], where: str) -> dict[str, str]:
    given = [name for name in LEVELS if is_given(row, name)]
    return {name: text_or_number_in(row[name], name, where) for name in given}


def _one(row: dict[str, Any], name: str, where: str) -> dict[str, str]:
    return {ANY_LEVEL: text_or_number_in(required(row, name, where, _ALLOWED), name, where)}


def _response(row: dict[str, Any], where: str) -> dict[str, str]:
    """One response: at the level that the record names, else at that of its thought or any."""
    if not is_given(row, "level"):
        return _of_turn(row, "response", where)
    level = row["level"]
    if level not in LEVELS:
        raise DataError(
            f"{where}: field 'level' must be one of {', '.join(LEVELS)}, got {shown(level)}"
        )
    return {level: text_or_number_in(row["response"], "response", where)}


def _of_turn(row: dict[str, Any], name: str, where: str) -> dict[str, str]:
    """The levels of a response that is a text, a number or a list of messages."""
    if isinstance(row[name], list):
        turns = [t for t in read_turns(row[name], name, where) if t.role == "assistant"]
        if not turns:
            raise DataError(f"{where}: field {name!r} has no turn of the assistant")
        turn = turns[-1]
    else:
        turn = Turn("assistant", text_or_number_in(row[name], name, where))
    return turn.levels or {ANY_LEVEL: turn.text}


def _answer(row: dict[str, Any], where: str) -> dict[str, str]:
    """GSM8K's answer: a rationale, then the bare answer behind `####`."""
    solved = split_worked_solution(text_or_number_in(row["answer"], "answer", where))
    if solved is None:
        return _of_turn(row, "answer", where)
    rationale, answer = solved
    bare = {"none": answer}
    return bare | (
        {"simplified": f"{rationale}\nThe final answer is {answer}"} if rationale else {}
    )


_FORMS: dict[str, Callable[[dict[str, Any], str], dict[str, str]]] = {
    **dict.fromkeys(LEVELS, _levels),
    "response": _response,
    "completion": lambda row, where: _of_turn(row, "completion", where),
    "answer": _answer,
}
"""Field that holds the response, or one of them -> how it is read."""


def _question_id(row: dict[str, Any], where: str) -> str | None:
    given = row.get("question_id")
    if given is None:
        return None
    if isinstance(given, (int, float)) and not isinstance(given, bool) and given % 1 == 0:
        return str(int(given))  # a table with gaps makes 7.0 of 7
    return text_in(given, "question_id", where, may_be_empty=False)
