"""The fields of a point by the names under which they are typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, get_type_hints

from gradsweep.config.point import Config


@lru_cache(maxsize=1)
def point_fields() -> Mapping[str, Any]:
    """Every field with its type: `n_samples`, `model`, `model.source.path`, …"""
    return dict(_fields(Config, ""))


def _fields(kind: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(kind)
    for declared in fields(kind):
        name, hint = f"{prefix}{declared.name}", hints[declared.name]
        yield name, hint
        if is_dataclass(hint):
            yield from _fields(hint, f"{name}.")
