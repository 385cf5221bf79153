"""A large page's data, one file for each model and dataset, which the page reads when it needs it.

A page from a disk may not read files beside it, but it may run scripts: a tile is a script that
hands its data over (`tiles.js`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from gradsweep.store.atomic import write_changed_text

FOLDER = "data"
"""Of the tiles, beside the page."""
MOST_INSIDE = 6_000_000
"""Bytes of data that a page holds itself; of more, each model and dataset has a tile."""

_OF_STUDY = ("curves", "differences")
_OF_POINT = ("outliers", "bad_samples", "without_text", "settings", "command")

Data = dict[str, Any]


def in_tiles(data: Data, folder: Path, refresh: float | None) -> Data:
    """Return what stays in the page; the rest is written to files where that is too much.

    Args:
        data: of the page, as its scripts read it.
        folder: of the report.
        refresh: seconds after which a page loads itself again: it holds everything.

    Raises:
        StoreError: a file cannot be written.
    """
    if refresh or not _is_large(data):
        return data
    parts = _parts(data)
    tiles: dict[str, str] = {}
    for number, (name, part) in enumerate(parts.items()):
        tiles[name] = f"{FOLDER}/{number:04d}.js"
        write_changed_text(folder / tiles[name], f"tileHere({as_json(name)}, {as_json(part)});\n")
    _remove_others(folder, set(tiles.values()))
    inside: Data = {kind: {metric: [] for metric in data[kind]} for kind in _OF_STUDY}
    points = [
        {name: value for name, value in point.items() if name not in _OF_POINT}
        for point in data["points"]
    ]
    tables = [{"name": t["name"], "title": t["title"], "tile": _tile_of(t)} for t in data["tables"]]
    return data | inside | {"points": points, "tables": tables, "tiles": tiles}


def _parts(data: Data) -> dict[str, Data]:
    """What each tile has, by the name that the page asks for."""
    study_of = {point["id"]: _study(point["axes"]) for point in data["points"]}
    parts: dict[str, Data] = {}
    for kind in _OF_STUDY:
        for metric, lines in data[kind].items():
            for line in lines:
                name = _study(line) if "model" in line else study_of.get(line["point"], "")
                of_kind = parts.setdefault(name, {}).setdefault(kind, {})
                of_kind.setdefault(metric, []).append(line)
    for point in data["points"]:
        told = {name: point[name] for name in _OF_POINT if name in point}
        parts.setdefault(study_of[point["id"]], {}).setdefault("points", {})[point["id"]] = told
    for table in data["tables"]:
        of_table = parts.setdefault(_tile_of(table), {}).setdefault("tables", {})
        of_table[table["name"]] = table
    return parts


def _study(named: Data) -> str:
    return f"{named['model']}\n{named['dataset']}"


def _tile_of(table: Data) -> str:
    """Tables of a model and dataset, of whatever metric, lie together."""
    models, dataset, *_ = table["name"].split("__")
    return f"tables of {models} {dataset}"


def _is_large(data: Data) -> bool:
    """Whether the data have more than `MOST_INSIDE` bytes, written as far as that takes."""
    size = 0
    for part in data.values():
        for piece in part.values() if isinstance(part, dict) else (part,):
            size += len(orjson.dumps(piece))
            if size > MOST_INSIDE:
                return True
    return False


def as_json(value: object) -> str:
    """Write data of a page as JSON, in an eighth of the standard library's time; a number that is
    not finite is null."""
    return orjson.dumps(value).decode()


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove tiles of an earlier page."""
    for file in _tile_files(folder):
        if f"{FOLDER}/{file.name}" not in names:
            with suppress(OSError):
                file.unlink()


def _tile_files(folder: Path) -> Iterator[Path]:
    yield from (folder / FOLDER).glob("*.js")
