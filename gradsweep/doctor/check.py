"""What a check found: the record of this package."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class CheckState(str, Enum):
    """How bad what a check has seen is."""

    OK = "ok"
    WARNING = "warning"
    """The numbers can be used, once a reader knows this."""
    PROBLEM = "problem"
    """The numbers do not mean what they seem to."""
    NOT_CHECKED = "not checked"
    """Something that the check needs is not there; the remedy says how to get it."""


@dataclass(frozen=True)
class Check:
    """One known failure signature, looked for."""

    name: str
    state: CheckState
    finding: str
    """What was seen, with its numbers: half a sentence without a full stop."""
    remedy: str = ""
    """What to do, or to run; empty when nothing is to be done."""


def share(part: int, whole: int) -> str:
    """Give a share in words: `3 of 40 (8 %)`."""
    return f"{part} of {whole} ({100 * part / max(whole, 1):.0f} %)"
