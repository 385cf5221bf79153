"""The rows of a data file, whatever kind of file it is: JSON lines, a JSON list or a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gradsweep.data.fields import object_of, value_kind
from gradsweep.data.files import inner_suffix, parse_json, read_text
from gradsweep.data.tables import OF_TEXTS, TABLES, read_table
from gradsweep.errors import DataError

_LINES = (".jsonl", ".ndjson")
_ALLOWED = (
    ".jsonl or .ndjson (one record per line), .json (a list), .csv, .tsv, .parquet or .arrow, each "
    "also compressed (.gz, .zst, .bz2), or be a folder that the save_to_disk of datasets wrote"
)


def read_rows(path: Path, field: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a file in order, each with where it stands: `line 3`, `row 3`.

    Args:
        path: a file of a kind in docs/data.md, or a folder that `datasets` saved.
        field: the config field that names the file, for errors.

    Raises:
        DataError: the file cannot be read, is empty, malformed or of an unknown kind.
    """
    for place, value in _values(path, field):
        yield place, object_of(value, f"{path}, {place}")


def require_known_kind(path: Path, field: str) -> None:
    """Raise `DataError` when the name of a file does not say what `read_rows` can read."""
    if not path.is_dir() and inner_suffix(path) not in (*_LINES, ".json", *TABLES):
        raise DataError(f"{field}: {path} must end in {_ALLOWED}")


def _values(path: Path, field: str) -> Iterator[tuple[str, Any]]:
    require_known_kind(path, field)
    suffix = "" if path.is_dir() else inner_suffix(path)
    if suffix in _LINES:
        return _lines(read_text(path, field), path)
    if suffix == ".json":
        return _list_items(read_text(path, field), path)
    return _table_rows(path, suffix, field)


def _lines(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    # Not splitlines(): it also splits at U+2028 and others, which JSON strings may hold.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"line {number}", parse_json(line, path, first_line=number)


def _list_items(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    items = parse_json(text, path)
    if not isinstance(items, list) or not items:
        raise DataError(
            f"{path} must hold a JSON list of records, got {value_kind(items)}; "
            "a file with one record per line must be named .jsonl"
        )
    for number, item in enumerate(items, start=1):
        yield f"item {number} of the list", item


def _table_rows(path: Path, suffix: str, field: str) -> Iterator[tuple[str, Any]]:
    empty = True
    for number, row in enumerate(read_table(path, suffix, field), start=1):
        if suffix in OF_TEXTS and all(cell is None for cell in row.values()):
            continue  # a blank line, which JSON lines may have as well
        empty = False
        yield f"row {number}", row
    if empty:
        raise DataError(f"{field}: {path} has no rows")
