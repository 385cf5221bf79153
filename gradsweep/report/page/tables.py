"""The report's tables as the page shows them: in words, with intervals and n, short at first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from gradsweep.report.formats import ColumnGroup, TableFile, csv
from gradsweep.report.labels import model_title
from gradsweep.report.numerals import MISSING, aligned

_IN_WORDS = {
    "cot": "CoT",
    "all": "all layers",
    "early": "early layers",
    "middle": "middle layers",
    "late": "late layers",
    "part": "layers",
}


def table_texts(tables: Iterable[TableFile]) -> list[dict[str, Any]]:
    """List, for each table, name, title, caption, keys, groups, lines and CSV.

    A line has `keys`, `cells` (value, and its interval or an empty text) and whether it is `more`
    than a reader wants at first: early, middle or late layers.
    """
    return [_texts(table) for table in tables]


def _texts(table: TableFile) -> dict[str, Any]:
    counted = [f"{_prefix(group.columns)} n" in table.frame.columns for group in table.groups]
    return {
        "name": table.name,
        "title": table.title or table.name,
        "caption": table.caption,
        "keys": [_IN_WORDS.get(key, key) for key in table.keys],
        "groups": [
            {"heading": _heading(group), "names": [*group.names, *(["n"] if with_n else [])]}
            for group, with_n in zip(table.groups, counted, strict=True)
        ],
        "blocks": table.blocks,
        "lines": _lines(table),
        "csv": csv(table),
    }


def _lines(table: TableFile) -> list[dict[str, Any]]:
    n_keys = len(table.keys)
    lines = []
    for line, texts in zip(table.frame.to_dicts(), table.cells, strict=True):
        values = iter(texts[n_keys:])
        cells = []
        for group in table.groups:
            cells += [[next(values), _interval(line, column)] for column in group.columns]
            count = f"{_prefix(group.columns)} n"
            if count in line:
                cells.append([MISSING if line[count] is None else str(line[count]), ""])
        lines.append(
            {
                "keys": [_IN_WORDS.get(key, key) for key in texts[:n_keys]],
                "cells": cells,
                "more": line.get("part", "all") != "all",
            }
        )
    return lines


def _interval(line: dict[str, Any], column: str) -> str:
    ends = line.get(f"{column} low"), line.get(f"{column} high")
    if any(end is None or not math.isfinite(end) for end in ends):
        return ""
    return " to ".join(aligned([float(end) for end in ends if end is not None]))


def _heading(group: ColumnGroup) -> str:
    """The group's heading with the model's name as its makers write it."""
    label = _prefix(group.columns)
    return group.heading.replace(label, model_title(label), 1)


def _prefix(columns: Sequence[str]) -> str:
    """The model that a group's columns begin with: `tiny n_samples=2` of `… q` and `… k`."""
    return columns[0].rpartition(" ")[0]
