"""The thought of a reasoning model's response: what stands in `<think>` before its answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gradsweep.data.sentences import TextRules

_OPENING, _CLOSING = "<think>", "</think>"
_THOUGHT = re.compile(rf"(\s*{_OPENING}\s*)?(.*?)(\s*{_CLOSING}\s*)(.*)", re.DOTALL)
_CUT_OFF = re.compile(rf"(\s*{_OPENING}\s*)(.*)()()", re.DOTALL)


@dataclass(frozen=True)
class ThoughtfulResponse:
    """A response in its parts, which joined are the response."""

    opening: str
    """`<think>` and the white space around it; empty where the prompt opens the block."""
    thought: str
    closing: str
    """`</think>` and the white space around it; empty where the response was cut before."""
    answer: str
    """All behind the first thought, further thoughts included."""

    def __str__(self) -> str:
        return f"{self.opening}{self.thought}{self.closing}{self.answer}"


def split_thought(response: str, rules: TextRules = TextRules.general) -> ThoughtfulResponse | None:
    """The parts of a response that begins with a thought; None without one that says something.

    The rules of the paper's texts know no thoughts.
    """
    if rules is TextRules.paper:
        return None
    parts = _THOUGHT.fullmatch(response) or _CUT_OFF.fullmatch(response)
    if parts is None or not parts[2].strip() or _OPENING in parts[2]:
        return None
    return ThoughtfulResponse(parts[1] or "", parts[2], parts[3], parts[4])


def thoughtful(thought: str, answer: str) -> str:
    """The response of a thought and an answer that the data hold apart."""
    return f"{_OPENING}\n{thought.strip()}\n{_CLOSING}\n\n{answer.lstrip()}"
