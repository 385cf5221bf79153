"""The fields of a record, checked: each is what it must be, or an error says where it is not."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

from gradsweep.errors import DataError

_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")
_ROUNDED_ZERO = 0.1
"""Log-probabilities near 0 may be above it when they were computed in 16 bits."""


def object_of(value: Any, where: str) -> dict[str, Any]:
    """`value`, a JSON object. Raises `DataError` when it is something else."""
    if not isinstance(value, dict):
        raise DataError(f"{where}: a record must be an object {{…}}, got {value_kind(value)}")
    return value


def is_given(record: dict[str, Any], name: str) -> bool:
    """Whether a record has a value in field `name`; a table has null where it has none."""
    return record.get(name) is not None


def required(record: dict[str, Any], name: str, where: str, allowed: str) -> Any:
    """The value in field `name`. Raises `DataError` without one; `allowed` are a record's forms."""
    if name not in record:
        given = ", ".join(record) or "no fields"
        raise DataError(
            f"{where}: field {name!r} is missing; given are {given}. Allowed are {allowed}"
        )
    return record[name]


def text_in(value: Any, name: str, where: str, *, may_be_empty: bool = True) -> str:
    """`value`, the text in field `name`. Raises `DataError` when it is no usable text."""
    if not isinstance(value, str):
        raise DataError(f"{where}: field {name!r} must be a text, got {value_kind(value)}")
    if not may_be_empty and not value.strip():
        raise DataError(f"{where}: field {name!r} is empty; it must hold some text")
    if _HALF_A_CHARACTER.search(value):
        raise DataError(f"{where}: field {name!r} holds half a character (\\ud800 to \\udfff)")
    return value


def text_or_number_in(value: Any, name: str, where: str) -> str:
    """`value`, a text, or a finite number as Python writes it: bare answers are often numbers.

    Raises:
        DataError: it is neither.
    """
    if _is_number(value) and _is_finite(value):
        return str(value)
    if not isinstance(value, str):
        kind = value_kind(value)
        quotes = f'; in quotes, "{kind}", it is a text' if isinstance(value, bool) else ""
        raise DataError(f"{where}: field {name!r} must be a text or a number, got {kind}{quotes}")
    return text_in(value, name, where)


def number_in(value: Any, name: str, where: str) -> float:
    """`value`, a finite number in field `name`; in a table of texts, as CSV is, a text of one.

    Raises:
        DataError: it is something else.
    """
    number = _as_float(value)
    if number is None or not math.isfinite(number):
        raise DataError(f"{where}: field {name!r} must be a finite number, got {shown(value)}")
    return number


def log_prob_in(value: Any, name: str, where: str) -> float:
    """`value`, a sum of log-probabilities. Raises `DataError` when it cannot be one."""
    number = number_in(value, name, where)
    if number > _ROUNDED_ZERO:
        raise DataError(
            f"{where}: field {name!r} must be a sum of log-probabilities in nats, which is at most "
            f"0; got {number:g}"
        )
    return number


def value_kind(value: Any) -> str:
    """Name the kind of a value of JSON or of a table, as a user would call it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if _is_number(value):
        return f"the number {value}"
    nouns: dict[type, str] = {list: "list", dict: "object", str: "text"}
    noun = nouns.get(type(value))
    if noun is None:
        return f"a value of type {type(value).__name__}"
    article = "an" if noun == "object" or not value else "a"
    return f"{article} {noun}" if value else f"an empty {noun}"


def shown(value: Any) -> str:
    """A value as errors show it: a short text itself, of anything else what it is."""
    return repr(value[:60]) if isinstance(value, str) else value_kind(value)


def _as_float(value: Any) -> float | None:
    if not (_is_number(value) or isinstance(value, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):  # a text of something else, an integer of 400 digits
        return None


def _is_finite(value: Any) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
