"""The rooms of the package, and that their imports point one way."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "gradsweep"
ROOMS = (
    *("errors", "whole_numbers", "cores", "times", "records", "versions", "ranks", "progress"),
    *("config", "data", "models", "identity", "engine"),
    *("store", "analysis", "report", "plan", "tracking"),
    *("training", "training_point", "finish", "extraction", "jobs", "doctor", "cli"),
    *("__init__", "__main__"),
)
"""Folders and modules of the package; each may import from those before it."""


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_rooms(file: Path) -> Iterator[str]:
    """Rooms that a file imports from anywhere in it, also for its types only."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == PACKAGE.name and rest:
                yield rest.split(".")[0]


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_room_has_its_place() -> None:
    assert {room_of(file) for file in FILES} == set(ROOMS), "say in ROOMS where a new one belongs"


def test_no_arrow_runs_back() -> None:
    backwards = [
        f"{file.relative_to(PACKAGE.parent)} imports {room}"
        for file in FILES
        for room in imported_rooms(file)
        if room in ROOMS and ROOMS.index(room) > ROOMS.index(room_of(file))
    ]
    assert backwards == []


def test_parquet_files_are_read_by_name_in_one_place() -> None:
    """Elsewhere a `[1]` in a path would be a pattern; user's own tables are read from bytes."""
    by_name = [PACKAGE / "store" / "parquet.py", PACKAGE / "data" / "tables.py"]
    reading = [f for f in FILES if re.search("(read|scan)_parquet", f.read_text(encoding="utf-8"))]
    assert sorted(reading) == sorted(by_name)


SCHEDULERS = PACKAGE / "jobs" / "schedulers"


def asks_for(names: set[str], node: ast.AST) -> bool:
    """Whether code compares with the name of a scheduler or imports its module."""
    if isinstance(node, ast.ImportFrom):
        return any(f"{node.module}.".startswith(f"gradsweep.jobs.schedulers.{n}.") for n in names)
    if not isinstance(node, ast.Compare):
        return False
    return any(isinstance(part, ast.Constant) and part.value in names for part in ast.walk(node))


def test_nothing_outside_of_a_scheduler_asks_whether_it_is_that_one() -> None:
    names = {path.stem for path in SCHEDULERS.iterdir()} - {"__init__", "base", "__pycache__"}
    assert {"slurm", "local"} <= names
    outside = [file for file in FILES if not file.is_relative_to(SCHEDULERS)]
    asking = [
        f"{file}:{getattr(node, 'lineno', 0)}"
        for file in [*outside, SCHEDULERS / "__init__.py", SCHEDULERS / "base.py"]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if asks_for(names, node)
    ]
    assert asking == []
