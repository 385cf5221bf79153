"""The forms of a record: which of its fields is the prompt and which are responses.

docs/data.md shows an example of each. `PROMPTS` and `RESPONSES` are the fields that are looked
for, in their order; a form is one of the first with one of the second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gradsweep.data.answers import split_worked_solution
from gradsweep.data.conversation import (
    Turn,
    after_system,
    as_prompt,
    read_turns,
    split_conversation,
)
from gradsweep.data.fields import is_given, required, shown, text_in, text_or_number_in
from gradsweep.data.labelled_steps import has_steps, read_steps
from gradsweep.data.preferences import (
    CHOSEN,
    REFERENCE,
    REJECTED,
    has_group,
    has_pair,
    read_group,
    read_pair,
)
from gradsweep.data.questions import BETWEEN_STEPS
from gradsweep.data.record import Record, scores
from gradsweep.data.responses import (
    ANY_LEVEL,
    LEVELS,
    by_level,
    levels_in,
    log_probs_in,
    of_turn,
)
from gradsweep.data.table_numbers import number_rules
from gradsweep.errors import DataError

_ALLOWED = (
    "{question_id?, prompt, responses}, {prompt, level, response}, {prompt, none?, simplified?, "
    "detailed?}, {prompt, completion or response, label?}, {instruction, input?, output}, "
    "{question, answer}, {messages}, {conversations}, {prompt?, chosen, rejected}, {prompt, "
    "responses, rewards} with lists, {problem, steps, label?} and {prompt, completions, labels} "
    "with lists; dataset.fields.<field>=<name in the file> says where a field has another name"
)
_CONVERSATIONS = ("messages", "conversations")
_PROMPTS = ("prompt", "instruction", "question")
_NO_INPUT = re.compile(r"[<\[(]?\s*no[ _]?input\s*[>\])]?\.?", re.IGNORECASE)
"""How Alpaca's records say that there is no input."""


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
    record = _record(row, names, place, where)
    rules = number_rules(map(row.get, _MAY_BE_NUMBERS), record.texts)
    if is_given(row, "input"):
        rules |= number_rules([row["input"]], record.prompt.split("\n"))
    return replace(record, text_rules=record.text_rules | rules) if rules else record


def _record(row: dict[str, Any], names: Mapping[str, str], place: str, where: str) -> Record:
    question_id = _question_id(row, where)
    if has_steps(row) and ("steps" in names or not _has_other_form(row, names, where)):
        prompt, steps = read_steps(row, where)
        prompt, rules = _with_system(row, prompt, where)
        text = BETWEEN_STEPS.join(step.text for step in steps)
        return Record(place, question_id, prompt, {ANY_LEVEL: text}, text_rules=rules, steps=steps)
    if (has_pair(row) or has_group(row)) and not _has_plain_form(row, names, where):
        return _of_several(row, names, place, where, question_id)
    if name := _conversation_field(row, names):
        prompt, response = split_conversation(_turns(row, name, where), name, where)
        responses, later_rule = response.levels or {ANY_LEVEL: response.text}, ""
        rules = frozenset()
    else:
        prompt, later_rule = _prompt(row, where)
        prompt, rules = _with_system(row, prompt, where)
        responses = _responses(row, names, where)
    scored = scores(row, names, where)
    record = Record(place, question_id, prompt, responses, later_rule, rules, **scored)
    if is_given(row, CHOSEN) and is_given(row, REJECTED):
        pair = read_pair(row, _ALLOWED, where, prompt_is_given=True)
        record = replace(record, chosen=pair.chosen, rejected=pair.rejected)
    if has_group(row):
        return replace(record, group=read_group(row, where))
    return replace(record, log_probs=log_probs_in(row.get(REFERENCE), REFERENCE, where, responses))


def _of_several(
    row: dict[str, Any], names: Mapping[str, str], place: str, where: str, question_id: str | None
) -> Record:
    """The record of a pair or group, which has no response of a plain form."""
    prompt, later_rule = _prompt_of_several(row, names, where)
    pair, rules = None, frozenset[str]()
    if has_pair(row):
        pair = read_pair(row, _ALLOWED, where, prompt_is_given=prompt is not None)
        if prompt is None and pair.prompt is not None:
            is_text = isinstance(row[CHOSEN], str)  # conversations have the system's turn already
            prompt, rules = _with_system(row if is_text else {}, pair.prompt, where)
    if prompt is None:
        prompt = text_in(required(row, "prompt", where, _ALLOWED), "prompt", where)
    return Record(
        *(place, question_id, prompt, {}, later_rule, rules),
        chosen=pair.chosen if pair else None,
        rejected=pair.rejected if pair else None,
        group=read_group(row, where) if has_group(row) else None,
    )


def _has_other_form(row: dict[str, Any], names: Mapping[str, str], where: str) -> bool:
    """Whether a record has a response beside its list of steps."""
    return has_pair(row) or has_group(row) or _has_plain_form(row, names, where)


def _has_plain_form(row: dict[str, Any], names: Mapping[str, str], where: str) -> bool:
    """Whether a record of a pair or group has a response beside it, as a `messages` or `answer`."""
    if any(is_given(row, name) for name in _FORMS):
        return True
    if is_given(row, "responses") and not isinstance(row["responses"], list):
        return True
    if is_given(row, "output") and is_given(row, "instruction") and "prompt" not in row:
        return True
    name = _conversation_field(row, names)
    return name is not None and _turns(row, name, where)[-1].role == "assistant"


def _prompt_of_several(
    row: dict[str, Any], names: Mapping[str, str], where: str
) -> tuple[str | None, str]:
    """The prompt of a pair or group, and the rule as `_prompt`; None where no field holds it."""
    if any(is_given(row, name) for name in _PROMPTS):
        prompt, later_rule = _prompt(row, where)
        return after_system(row, prompt, where), later_rule
    if name := _conversation_field(row, names):
        return as_prompt(_turns(row, name, where), name, where), "prompt of several"
    return None, ""


def _with_system(row: dict[str, Any], prompt: str, where: str) -> tuple[str, frozenset[str]]:
    """The prompt behind the system's text, which was left out once, and the rule that tells so."""
    whole = after_system(row, prompt, where)
    return whole, frozenset() if whole == prompt else frozenset({"system"})


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
    has_form = "answer" in row or has_pair(row) or has_group(row)
    is_question = "question" in row and "prompt" not in row and has_form
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
    if not mapped and is_given(row, "responses") and not has_group(row):
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
    if isinstance(responses, list):
        raise DataError(
            f"{where}: field 'responses' is a list, which goes with 'rewards', a list with a "
            f"number for each; without, it must be an object with any of {', '.join(LEVELS)}"
        )
    return by_level(responses, "responses", where)


def _one(row: dict[str, Any], name: str, where: str) -> dict[str, str]:
    return {ANY_LEVEL: text_or_number_in(required(row, name, where, _ALLOWED), name, where)}


def _response(row: dict[str, Any], where: str) -> dict[str, str]:
    """One response: at the level that the record names, else at that of its thought or any."""
    if not is_given(row, "level"):
        return of_turn(row["response"], "response", where)
    level = row["level"]
    if level not in LEVELS:
        raise DataError(
            f"{where}: field 'level' must be one of {', '.join(LEVELS)}, got {shown(level)}"
        )
    return {level: text_or_number_in(row["response"], "response", where)}


def _answer(row: dict[str, Any], where: str) -> dict[str, str]:
    """GSM8K's answer: a rationale, then the bare answer behind `####`."""
    solved = split_worked_solution(text_or_number_in(row["answer"], "answer", where))
    if solved is None:
        return of_turn(row["answer"], "answer", where)
    rationale, answer = solved
    bare = {"none": answer}
    return bare | (
        {"simplified": f"{rationale}\nThe final answer is {answer}"} if rationale else {}
    )


_FORMS: dict[str, Callable[[dict[str, Any], str], dict[str, str]]] = {
    **dict.fromkeys(LEVELS, levels_in),
    "response": _response,
    "completion": lambda row, where: of_turn(row["completion"], "completion", where),
    "answer": _answer,
}
"""Field that holds the response, or one of them -> how it is read."""
_MAY_BE_NUMBERS = (*_FORMS, "output", "responses", "completions", CHOSEN, REJECTED)


def _question_id(row: dict[str, Any], where: str) -> str | None:
    given = row.get("question_id")
    if given is None:
        return None
    if isinstance(given, (int, float)) and not isinstance(given, bool) and given % 1 == 0:
        return str(int(given))  # a table with gaps makes 7.0 of 7
    return text_in(given, "question_id", where, may_be_empty=False)
