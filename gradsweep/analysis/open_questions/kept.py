"""Answers that were given before, kept beside the results while nothing that decides them changes.

They are records of records and frames: a text of JSON, laid out as the records' types say, and the
frames beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import polars as pl

from gradsweep.analysis.open_questions.question import Answered
from gradsweep.store.kept_tables import kept_file, read_tables, write_tables

_TABLE = "answers"


def kept_answers(results: Path, key: str) -> list[Answered] | None:
    """Read the answers that were kept under `key`; None where they were others, or none.

    Only those of the last report are there.
    """
    keys, tables = read_tables(kept_file(results, _TABLE))
    if key not in keys or _TABLE not in tables:
        return None
    text = tables[_TABLE]["text"][0]
    return [_restored(Answered, one, tables) for one in json.loads(text)]


def keep_answers(results: Path, key: str, answered: Sequence[Answered]) -> None:
    """Keep answers under what decides them; a folder that cannot be written stays without.

    Args:
        results: the folder.
        key: of the points that were asked (`gradsweep.store.kept_tables.key_of`).
        answered: of every question.
    """
    frames: dict[str, pl.DataFrame] = {}
    text = json.dumps([_plain(one, frames) for one in answered])
    write_tables(
        kept_file(results, _TABLE), {key}, {_TABLE: pl.DataFrame({"text": [text]})} | frames
    )


def _plain(value: Any, frames: dict[str, pl.DataFrame]) -> Any:
    """What JSON can say of a record; frames are put aside, under the name that it has for them."""
    if isinstance(value, pl.DataFrame):
        name = f"frame{len(frames)}"
        frames[name] = value
        return name
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        return value.item()
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name), frames) for f in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(one, frames) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one, frames) for one in value]
    return value


def _restored(kind: Any, value: Any, frames: Mapping[str, pl.DataFrame]) -> Any:
    """Turn what `_plain` has made of a value of this type back into one."""
    if kind is pl.DataFrame:
        return frames[value]
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        of_each = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_restored(one, part, frames) for one, part in zip(of_each, value, strict=True))
    if is_dataclass(kind):
        of_field = get_type_hints(kind)
        return kind(**{name: _restored(of_field[name], one, frames) for name, one in value.items()})  # type: ignore[operator]
    return kind(value) if isinstance(kind, type) and issubclass(kind, Enum) else value
