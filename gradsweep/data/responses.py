"""One response in a field of a record: a text, a number, messages, or a text per CoT level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gradsweep.config import CotLevel
from gradsweep.data.conversation import Turn, read_turns
from gradsweep.data.fields import is_given, log_prob_in, text_or_number_in, value_kind
from gradsweep.data.questions import LabelledStep, Response
from gradsweep.data.thoughts import split_thought
from gradsweep.errors import DataError

LEVELS = tuple(level.name for level in CotLevel)
ANY_LEVEL = "any"
"""Key of the one response of a record that names no level."""

_SPEAKERS = ("role", "from")


@dataclass(frozen=True)
class RecordedResponse:
    """A response as a record has it, at one CoT level or at several."""

    texts: Mapping[str, str]
    """Level name, or `ANY_LEVEL`, -> text; empty where a table has null."""
    log_probs: Mapping[str, float] = field(default_factory=dict)
    """The same -> Σ_t log p of that text under the reference model, in nats, where recorded."""
    reward: float | None = None
    """None where nobody scored it."""
    steps: tuple[LabelledStep, ...] = ()
    """Of the one text, where the record has it as a list of steps."""

    def at(self, level: CotLevel, reward: float) -> Response | None:
        """The response at a level, worth `reward`; None where the record has none there."""
        key = level.name if level.name in self.texts else ANY_LEVEL
        if key not in self.texts:
            return None
        return Response(self.texts[key], reward, self.log_probs.get(key), self.steps)


def response_in(value: Any, name: str, where: str) -> dict[str, str]:
    """The texts by level of a response in any of its forms; none where a table has null.

    Raises:
        DataError: it is no text, number, message, list of messages or object of levels.
    """
    if value is None:
        return {}
    if isinstance(value, dict):
        is_message = any(is_given(value, speaker) for speaker in _SPEAKERS)
        return of_turn([value], name, where) if is_message else by_level(value, name, where)
    return of_turn(value, name, where)


def of_turn(value: Any, name: str, where: str) -> dict[str, str]:
    """The levels of a response that is a text, a number or a list of messages."""
    if isinstance(value, list):
        turns = [t for t in read_turns(value, name, where) if t.role == "assistant"]
        if not turns:
            raise DataError(f"{where}: field {name!r} has no turn of the assistant")
        turn = turns[-1]
    else:
        turn = Turn("assistant", text_or_number_in(value, name, where))
    return turn.levels or {ANY_LEVEL: turn.text}


def by_level(responses: Any, name: str, where: str) -> dict[str, str]:
    """The texts of an object with a response per level. Raises `DataError` when it is none."""
    if not isinstance(responses, dict):
        raise DataError(
            f"{where}: field {name!r} must be an object with any of {', '.join(LEVELS)}, "
            f"got {value_kind(responses)}"
        )
    require_levels(responses, name, where)
    return levels_in(responses, f"{where}, field {name!r}")


def levels_in(row: Mapping[str, Any], where: str) -> dict[str, str]:
    """The texts in the fields that are called as a level."""
    given = [name for name in LEVELS if row.get(name) is not None]
    return {name: text_or_number_in(row[name], name, where) for name in given}


def require_levels(given: Mapping[str, Any], name: str, where: str) -> None:
    """Raise `DataError` when a key of the object in field `name` is no level."""
    for level in given:
        if level not in LEVELS:
            raise DataError(
                f"{where}: field {name!r} has the unknown level {level!r}; "
                f"allowed are {', '.join(LEVELS)}"
            )


def log_probs_in(value: Any, name: str, where: str, texts: Mapping[str, str]) -> dict[str, float]:
    """The recorded log-probability of each text that has one.

    A number is that of the response as it stands: with a thought, of thought and answer.

    Args:
        value: a number, or an object with one per level; None where a table has null.
        name: the field.
        where: the place of the record, for errors.
        texts: of the response, by level.

    Raises:
        DataError: it is neither, or a number beside a response that has several texts.
    """
    if value is None or not texts:
        return {}
    if isinstance(value, dict):
        require_levels(value, name, where)
        place = f"{where}, field {name!r}"
        return {
            level: log_prob_in(value[level], level, place)
            for level in texts
            if value.get(level) is not None
        }
    return {_whole(texts, name, where): log_prob_in(value, name, where)}


def _whole(texts: Mapping[str, str], name: str, where: str) -> str:
    """The level whose text is the whole response."""
    if len(texts) == 1:
        return next(iter(texts))
    if set(texts) == {"none", "detailed"} and split_thought(texts["detailed"]) is not None:
        return "detailed"
    raise DataError(
        f"{where}: field {name!r} must be an object with a number for each of "
        f"{', '.join(texts)}, as the response has a text for each"
    )
