"""The thought of a reasoning model's response: what stands in `<think>` before its answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

_THOUGHT = re.compile(r"(\s*<think>\s*)?(.*?)(\s*</think>\s*)(.*)", re.DOTALL)


@dataclass(frozen=True)
class ThoughtfulResponse:
    """A response in its parts, which joined are the response."""

    opening: str
    """`<think>` and the white space around it; empty where the prompt opens the block."""
    thought: str
    closing: str
    """`</think>` and the white space around it."""
    answer: str
    """All behind the first thought, further thoughts included."""

    def with_thought(self, thought: str) -> str:
        """The response with another thought."""
        return f"{self.opening}{thought}{self.closing}{self.answer}"


def split_thought(response: str) -> ThoughtfulResponse | None:
    """The parts of a response that begins with a thought; None when none ends in it."""
    parts = _THOUGHT.fullmatch(response)
    if parts is None or "<think>" in parts[2]:
        return None
    return ThoughtfulResponse(parts[1] or "", parts[2], parts[3], parts[4])


def thoughtful(thought: str, answer: str) -> str:
    """The response of a thought and an answer that the data hold apart."""
    return f"<think>\n{thought.strip()}\n</think>\n\n{answer.lstrip()}"
