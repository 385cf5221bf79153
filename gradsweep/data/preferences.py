"""Records with several responses, in TRL's forms: `chosen` and `rejected`, or a group with rewards.

The prompt of a pair may stand in a field of its own or be what its two texts begin with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from gradsweep.data.conversation import Turn, read_turns, split_conversation
from gradsweep.data.fields import is_given, number_in, required, text_in, value_kind
from gradsweep.data.responses import RecordedResponse, log_probs_in, response_in
from gradsweep.errors import DataError

CHOSEN, REJECTED = "chosen", "rejected"
REWARDS = "rewards"
REFERENCE = "ref_logps"
_GROUPS = ("responses", "completions")
_REFERENCES = {CHOSEN: "ref_chosen_logps", REJECTED: "ref_rejected_logps"}
_LAST_WORD = re.compile(r"\s\S*\Z")


@dataclass(frozen=True)
class Pair:
    """A preference between two responses to a prompt."""

    chosen: RecordedResponse
    rejected: RecordedResponse
    prompt: str | None = None
    """What both begin with, where the prompt has no field of its own."""


def has_pair(row: dict[str, Any]) -> bool:
    """Whether a record is a pair; in a table, one whose cells are not all empty."""
    return is_given(row, CHOSEN) or is_given(row, REJECTED)


def read_pair(row: dict[str, Any], allowed: str, where: str, *, prompt_is_given: bool) -> Pair:
    """The pair in a record.

    Raises:
        DataError: a response is missing or none, the two do not begin with a prompt where there
            is no other, or only one of them has a recorded log-probability.
    """
    texts = {name: required(row, name, where, allowed) for name in (CHOSEN, REJECTED)}
    prompt = None
    if not prompt_is_given:
        prompt, texts = _implicit_prompt(row, texts, allowed, where)
    chosen, rejected = (response_in(value, name, where) for name, value in texts.items())
    given = [name for name in _REFERENCES.values() if is_given(row, name)]
    if len(given) == 1 and chosen and rejected:
        (missing,) = set(_REFERENCES.values()) - set(given)
        raise DataError(
            f"{where}: field {given[0]!r} is given and {missing!r} is not; a pair has both or none"
        )
    first, second = (
        RecordedResponse(found, log_probs_in(row.get(field), field, where, found))
        for found, field in zip((chosen, rejected), _REFERENCES.values(), strict=True)
    )
    return Pair(first, second, prompt)


def has_group(row: dict[str, Any]) -> bool:
    """Whether a record has a list of responses and the rewards of each."""
    return is_given(row, REWARDS) and _group_field(row) is not None


def read_group(row: dict[str, Any], where: str) -> tuple[RecordedResponse, ...]:
    """The responses of a group, with their rewards.

    Raises:
        DataError: a response is none, a reward no number, or there are more of one than of others.
    """
    name = _group_field(row)
    assert name is not None, "asked of `has_group`"
    texts = [response_in(value, name, at) for value, at in _items(row, name, name, where)]
    rewards = [
        None if value is None else number_in(value, REWARDS, at)
        for value, at in _items(row, REWARDS, name, where)
    ]
    references: list[dict[str, float]] = [{} for _ in texts]
    if is_given(row, REFERENCE):
        references = [
            log_probs_in(value, REFERENCE, at, found)
            for (value, at), found in zip(_items(row, REFERENCE, name, where), texts, strict=True)
        ]
    return tuple(map(RecordedResponse, texts, references, rewards))


def _items(
    row: dict[str, Any], field: str, responses: str, where: str
) -> Iterator[tuple[Any, str]]:
    """Each item of a group's list, with where it stands. Raises `DataError` as `read_group`."""
    values = row[field]
    if not isinstance(values, list):
        raise DataError(f"{where}: field {field!r} must be a list, got {value_kind(values)}")
    if len(values) != len(row[responses]):
        raise DataError(
            f"{where}: {len(row[responses])} items in field {responses!r} and {len(values)} in "
            f"{field!r}; each response has one"
        )
    for number, value in enumerate(values, start=1):
        yield value, f"{where}, item {number} of {field!r}"


def _group_field(row: dict[str, Any]) -> str | None:
    return next((name for name in _GROUPS if isinstance(row.get(name), list)), None)


def _implicit_prompt(
    row: dict[str, Any], texts: dict[str, Any], allowed: str, where: str
) -> tuple[str, dict[str, Any]]:
    """The prompt that both responses begin with, and what is left of them."""
    kinds = {type(value) for value in texts.values()}
    if kinds == {str}:
        return _shared_text(texts, where)
    if kinds <= {list, type(None)}:
        return _shared_turns(row, texts, where), texts
    required(row, "prompt", where, allowed)
    raise DataError(f"{where}: field 'prompt' is {value_kind(row['prompt'])}; it must hold a text")


def _shared_text(texts: dict[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """As TRL: the longest common beginning; but no word is cut in two."""
    checked = {name: text_in(text, name, where) for name, text in texts.items()}
    both = zip(*checked.values(), strict=False)
    shared = "".join(first for first, _ in takewhile(lambda two: two[0] == two[1], both))
    if last := _LAST_WORD.search(shared):
        shared = shared[: last.start()]
    if not shared.strip():
        raise DataError(
            f"{where}: fields 'chosen' and 'rejected' have no common beginning, which would be the "
            "prompt; give it in a field 'prompt'"
        )
    return shared, {name: text[len(shared) :] for name, text in checked.items()}


def _shared_turns(row: dict[str, Any], texts: dict[str, Any], where: str) -> str:
    system: tuple[Turn, ...] = ()
    if is_given(row, "system"):
        system = (Turn("system", text_in(row["system"], "system", where)),)
    prompts = {
        split_conversation((*system, *read_turns(turns, name, where)), name, where)[0]
        for name, turns in texts.items()
        if turns is not None
    }
    if len(prompts) > 1:
        raise DataError(
            f"{where}: fields 'chosen' and 'rejected' differ before the last turn of the "
            "assistant, which is the response; what stands before is one prompt for both"
        )
    return prompts.pop()
