"""A checked record of a file: a prompt with its responses, whatever form they came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gradsweep.config import CotLevel
from gradsweep.data.fields import is_given, number_in, shown
from gradsweep.data.questions import LabelledStep
from gradsweep.data.responses import ANY_LEVEL, RecordedResponse
from gradsweep.errors import DataError

_LABELS = {"true": True, "false": False}
_NUMBERS = {"1": True, "0": False, "1.0": True, "0.0": False}
"""A table with gaps makes 1.0 of 1."""


@dataclass(frozen=True)
class Record:
    """One checked record, or several of one question at different levels."""

    place: str
    """Where it stands, for messages: `line 3`."""
    question_id: str | None
    """The id in the file; without one (None) the prompt decides it."""
    prompt: str
    responses: Mapping[str, str]
    """Level name, or `ANY_LEVEL`, -> response; empty where all it has is a pair or a group."""
    later_rule: str = ""
    """The rule by which it reads otherwise than when points of such a file were first stored; a
    part of the id of points since."""
    text_rules: frozenset[str] = frozenset()
    """More rules of this kind, of which several may hold, and do in records that were joined."""
    log_probs: Mapping[str, float] = field(default_factory=dict)
    """As `RecordedResponse.log_probs`, of `responses`."""
    chosen: RecordedResponse | None = None
    rejected: RecordedResponse | None = None
    group: tuple[RecordedResponse, ...] | None = None
    """None where the record is no group."""
    label: bool | None = None
    """Whether `responses` are desirable (TRL's unpaired preference)."""
    label_is_number: bool = False
    """Whether that is told by 1 or 0, which other data have for other things."""
    reward: float | None = None
    """What `responses` are worth, where that is recorded."""
    steps: tuple[LabelledStep, ...] = ()
    """Of the one response, where the record has it as a list of steps."""
    unread: tuple[str, ...] = ()
    """Fields of these two names that hold something else."""

    @property
    def texts(self) -> frozenset[str]:
        """The texts of all responses."""
        sides = (self.chosen, self.rejected, *(self.group or ()))
        return frozenset(self.responses.values()).union(*(s.texts.values() for s in sides if s))

    def response(self, level: CotLevel) -> str | None:
        return self.responses.get(level.name, self.responses.get(ANY_LEVEL))


def scores(row: dict[str, Any], names: Mapping[str, str], where: str) -> dict[str, Any]:
    """`label`, `reward` and `unread` of a record.

    Other data have other things in fields of these names: those count only where they are named.

    Raises:
        DataError: a field that `dataset.fields` names holds what it must not.
    """
    label = _label(row.get("label"))
    by_number = _numbered(row.get("label"))
    found: dict[str, Any] = {
        "label": by_number if label is None else label,
        "label_is_number": by_number is not None,
    }
    try:
        found["reward"] = (
            number_in(row["reward"], "reward", where) if is_given(row, "reward") else None
        )
    except DataError:
        if "reward" in names:
            raise
    unread = [n for n in ("label", "reward") if is_given(row, n) and found.get(n) is None]
    if "label" in unread and "label" in names:
        raise DataError(
            f"{where}: field 'label' must be true or false, or 1 or 0; got {shown(row['label'])}"
        )
    return {**found, "unread": tuple(unread)}


def without_foreign_labels(records: Sequence[Record]) -> Sequence[Record]:
    """The records of a file; 1 and 0 are labels only where all are, but for true and false.

    Classes are numbered from 0, too.
    """
    if all("label" not in record.unread for record in records):
        return records
    return [
        replace(record, label=None, label_is_number=False, unread=("label", *record.unread))
        if record.label_is_number
        else record
        for record in records
    ]


def _label(value: Any) -> bool | None:
    """Tables of texts have `True` or `true`."""
    if isinstance(value, str):
        return _LABELS.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def _numbered(value: Any) -> bool | None:
    return None if isinstance(value, bool) else _NUMBERS.get(str(value).strip())
