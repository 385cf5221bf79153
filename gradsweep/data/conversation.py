"""Conversations: OpenAI's and TRL's `messages`, ShareGPT's `conversations`.

The last turn of the assistant is the response, all before it the prompt. A prompt is one text: a
system turn stands before the question, and of several turns each gets its speaker's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradsweep.data.fields import is_given, object_of, shown, text_in, value_kind
from gradsweep.data.thoughts import split_thought, thoughtful
from gradsweep.errors import DataError

_ROLES = {
    "system": ("system", "developer"),
    "user": ("user", "human"),
    "assistant": ("assistant", "gpt", "chatgpt", "bard", "bing", "model"),
    "tool": ("tool", "function", "observation", "function_call", "ipython"),
}
_ROLE_OF = {name: role for role, names in _ROLES.items() for name in names}
_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking")


@dataclass(frozen=True)
class Turn:
    """One message."""

    role: str
    """A key of `_ROLES`."""
    text: str
    thought: str | None = None
    """The rationale, where a field of its own holds it."""

    @property
    def levels(self) -> dict[str, str]:
        """The response at `none`, without its thought, and at `detailed`; empty without one."""
        if self.thought:
            return {"none": self.text, "detailed": thoughtful(self.thought, self.text)}
        parts = split_thought(self.text)
        if parts is None or not parts.closing:
            return {}
        return {"none": parts.answer, "detailed": self.text}


def read_turns(value: Any, name: str, where: str) -> tuple[Turn, ...]:
    """The turns in field `name`.

    Raises:
        DataError: it is no list of messages, or one of them has no known role or no text.
    """
    if not isinstance(value, list) or not value:
        raise DataError(
            f"{where}: field {name!r} must be a list of messages, got {value_kind(value)}"
        )
    places = (f"{where}, message {number} of {name!r}" for number in range(1, len(value) + 1))
    return tuple(_turn(object_of(turn, at), at) for turn, at in zip(value, places, strict=True))


def split_conversation(turns: Sequence[Turn], name: str, where: str) -> tuple[str, Turn]:
    """The prompt, and the last turn of the assistant; what follows that is left out.

    Raises:
        DataError: the assistant says nothing, or nothing is said before.
    """
    last = max((i for i, turn in enumerate(turns) if turn.role == "assistant"), default=None)
    if last is None:
        raise DataError(
            f"{where}: field {name!r} has no turn of the assistant: its last one is the response"
        )
    return as_prompt(turns[:last], name, where), turns[last]


def after_system(row: dict[str, Any], prompt: str, where: str) -> str:
    """The prompt of a record behind the text of the system, where that has a field of its own."""
    if not is_given(row, "system"):
        return prompt
    system = text_in(row["system"], "system", where)
    return f"{system}\n\n{prompt}" if system.strip() else prompt


def as_prompt(turns: Sequence[Turn], name: str, where: str) -> str:
    """The text of the turns before a response. Raises `DataError` when the user says nothing."""
    if not any(turn.role == "user" and turn.text.strip() for turn in turns):
        raise DataError(
            f"{where}: field {name!r} has no text of the user before the response: it is the prompt"
        )
    told = [turn for turn in turns if turn.text.strip()]
    if sum(turn.role != "system" for turn in told) == 1:
        return "\n\n".join(turn.text for turn in told)
    return "\n\n".join(f"{turn.role.capitalize()}: {turn.text}" for turn in told)


def _turn(message: dict[str, Any], where: str) -> Turn:
    role_field = "role" if is_given(message, "role") else "from"
    text_field = "content" if "content" in message else "value"
    role = message.get(role_field)
    if not isinstance(role, str) or role.lower() not in _ROLE_OF:
        raise DataError(
            f"{where}: the speaker in 'role' (or 'from') must be one of {', '.join(_ROLE_OF)}, "
            f"got {shown(role)}"
        )
    given = [name for name in _THOUGHT_FIELDS if is_given(message, name)]
    thought = text_in(message[given[0]], given[0], where) if given else None
    calls_a_tool = message.get(text_field) is None and is_given(message, "tool_calls")
    text = "" if calls_a_tool else _content(message.get(text_field), text_field, where)
    return Turn(_ROLE_OF[role.lower()], text, thought)


def _content(value: Any, name: str, where: str) -> str:
    """The text of a message, which may come in parts `{"type": "text", "text": …}`."""
    if not isinstance(value, list):
        return text_in(value, name, where)
    parts = [object_of(part, where) for part in value]
    for part in parts:
        if part.get("type") != "text":
            raise DataError(
                f"{where}: field {name!r} has a part of type {shown(part.get('type'))}; "
                "allowed are parts of type 'text'"
            )
    return "".join(text_in(part.get("text"), "text", where) for part in parts)
