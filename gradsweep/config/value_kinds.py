"""What a field takes, in the words of a command line: for values that OmegaConf refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, Union, get_args, get_origin

from gradsweep.config.fields import point_fields
from gradsweep.whole_numbers import most


def allowed_value(override: str, full_key: str) -> str | None:
    """Say what a field takes and what to type; None where no field has the name.

    OmegaConf names its own classes ("not a ListConfig", "could not be converted to Integer").

    Args:
        override: `name=value`, as it was typed.
        full_key: OmegaConf's name of the field: the value may be a mapping with several.
    """
    typed, _, value = override.partition("=")
    name = full_key.partition("[")[0] or typed.lstrip("+")
    kinds = _alternatives(point_fields().get(name))
    if kinds == (None,):
        return None
    taken = ["null" if one is type(None) else _taken(name, one) for one in kinds]
    remedies = (_remedy(name, one, value.strip()) for one in kinds)
    within = "" if name == typed.lstrip("+") else f"{name}: "
    verb = "are" if any(map(_is_enum, kinds)) else "is"
    return f"{within}allowed {verb} {' or '.join(taken)}{next(filter(None, remedies), '')}"


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _taken(name: str, kind: Any) -> str:
    """Name what one kind of value is."""
    if _is_enum(kind):
        return ", ".join(kind.__members__)
    if get_origin(kind) is list:
        entry = get_args(kind)[0]
        of_what = "" if entry is str else f", each entry {_taken(name, entry)}"
        return f"a list in brackets{of_what}"
    if get_origin(kind) in (dict, Mapping):
        return f"entries by their names, as +{name}.<entry>=<value>"
    if is_dataclass(kind):
        return f"values of its own fields, as {name}.{fields(kind)[0].name}=<value>"
    names = {int: "a whole number", float: "a number (0.5, 1e-5)", bool: "true or false"}
    return names.get(kind, "a text")


def _remedy(name: str, kind: Any, value: str) -> str:
    """Say what to type where a value only has to be written otherwise."""
    if kind is int and (number := _whole(value)) is not None:
        return f": type {name}={number}" if number <= most(name) else f", at most {most(name)}"
    if get_origin(kind) is list and value and not set(value) & set("[]{}") and value != "null":
        return f": type {name}=[{value}]"
    return ""


def _whole(value: str) -> int | None:
    """The number that `2.0` and `1e3` are."""
    try:
        number = float(value)
        return int(number) if number == int(number) else None
    except (ValueError, OverflowError):
        return None
