"""Reduced points give the numbers of their rows, bit for bit, and one that is stale gives none."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from helpers.same_numbers import assert_same_numbers, read_numbers
from helpers.stored_points import store_point

import gradsweep
from gradsweep.errors import DataError, StoreError
from gradsweep.records import Axes
from gradsweep.report import reduced_points
from gradsweep.report.content import claims_of
from gradsweep.report.numbers import NumbersReader
from gradsweep.report.reduced_points import MADE_BY, keep_reduced
from gradsweep.report.stored_rows import StoredRows, stored_rows
from gradsweep.store import PointPaths
from gradsweep.store.paths import cache_folder, point_folders
from gradsweep.store.selection import Selection

QUESTIONS = tuple(f"question{number:02}" for number in range(12))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Points in two models and datasets; tests take copies.

    Of the second dataset one point has other questions than its partner, one a value that is not
    finite, and one a row that failed its checksum.
    """
    results = tmp_path_factory.mktemp("stored") / "results"
    for number, (dataset, cot, kind) in enumerate(
        (dataset, cot, kind)
        for dataset in ("sums", "words")
        for cot in ("none", "detailed")
        for kind in ("correct", "irrelevant")
    ):
        asked = QUESTIONS[1:] if number == 5 else QUESTIONS
        axes = Axes("tiny", dataset, cot, kind)
        store_point(results, f"p{number:02}", axes, 1.0 + number, questions=asked)
    edit(PointPaths(results, "p06"), nuclear_norm=float("nan"))
    edit(PointPaths(results, "p07"), finite=False)
    return results


def edit(paths: PointPaths, **values: object) -> None:
    """Change one row of a point, as if it had been measured so."""
    rows = pl.read_parquet(paths.rows).with_row_index("_line")
    there = pl.col("_line") == 7
    changed = (pl.when(there).then(pl.lit(v)).otherwise(n).alias(n) for n, v in values.items())
    rows.with_columns(changed).drop("_line").write_parquet(paths.rows)
    sums = json.loads(paths.done.read_text())
    sums[paths.rows.name] = hashlib.sha256(paths.rows.read_bytes()).hexdigest()
    paths.done.write_text(json.dumps(sums))


@pytest.fixture
def results(stored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored, tmp_path / "results"))


@pytest.fixture
def reducing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small points be reduced, too."""
    monkeypatch.setattr(reduced_points, "_SMALLEST", 0)


def read_points(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Points whose rows are read from here on."""
    found: set[str] = set()
    rows = StoredRows.rows

    def seen(self: StoredRows, point_ids: list[str], metrics: object = None) -> pl.DataFrame:
        found.update(point_ids)
        return rows(self, point_ids, None)

    monkeypatch.setattr(StoredRows, "rows", seen)
    return found


def told(results: Path) -> str:
    shutil.rmtree(cache_folder(results), ignore_errors=True)
    return repr(claims_of(stored_rows(Selection(results)), "nuclear_norm", "mean"))


def test_numbers_are_those_of_the_rows(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from_rows = read_numbers(results, kept=False)
    assert not list(results.rglob("reduced.zip")), "small points are read as soon"
    monkeypatch.setattr(reduced_points, "_SMALLEST", 0)
    for _ in range(2):
        assert_same_numbers(read_numbers(results, kept=False), from_rows)
    assert len(list(results.rglob("reduced.zip"))) == 8


def test_claims_are_those_of_the_rows(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from_rows = told(results)
    monkeypatch.setattr(reduced_points, "_SMALLEST", 0)
    for paths in point_folders(results):
        keep_reduced(paths)
    looked_at = read_points(monkeypatch)
    assert told(results) == from_rows
    assert looked_at <= {"p06", "p07"}, "whose sum over tokens takes the samples' names"


@pytest.mark.usefixtures("reducing")
def test_no_row_is_read_of_reduced_points(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_numbers(results, kept=False)
    looked_at = read_points(monkeypatch)
    # Of many rows, no other metric's curves.
    NumbersReader(stored_rows(Selection(results)), None).read(["nuclear_norm"])
    assert looked_at == set()


@pytest.mark.long
@pytest.mark.usefixtures("reducing")
def test_pooled_seeds_heads_and_members_are_read_from_rows(results: Path) -> None:
    axes = Axes("tiny", "more", "none", "correct")
    store_point(results, "seed0", axes, 2.0, seed=0)
    store_point(results, "seed1", axes, 3.0, seed=1)
    store_point(results, "heads", Axes("tiny", "heads", "none", "correct"), 2.0, heads=2)
    store_point(results, "members", Axes("tiny", "pairs", "none", "pair"), 2.0, members=("a", "b"))
    found = read_numbers(results, kept=False)
    for file in results.rglob("reduced.zip"):
        file.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reduced_points, "_SMALLEST", 10**9)
        assert_same_numbers(found, read_numbers(results, kept=False))


Damage = Callable[[Path], object]


@pytest.mark.usefixtures("reducing")
@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-40]),
        lambda file: file.write_bytes(file.read_bytes()[:4000]),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(flipped(file.read_bytes())),
        lambda file: file.unlink(),
    ],
    ids=["cut short", "half", "empty", "a byte", "gone"],
)
def test_a_damaged_file_is_made_again(results: Path, damage: Damage) -> None:
    before = read_numbers(results, kept=False)
    whole = {file: file.read_bytes() for file in results.rglob("reduced.zip")}
    for file in whole:
        damage(file)
    assert_same_numbers(read_numbers(results, kept=False), before)
    assert {file: file.read_bytes() for file in results.rglob("reduced.zip")} == whole


def flipped(content: bytes) -> bytes:
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


@pytest.mark.usefixtures("reducing")
def test_other_rows_or_other_code_make_it_stale(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_numbers(results, kept=False)
    edit(PointPaths(results, "p00"), nuclear_norm=500.0)
    after = read_numbers(results, kept=False)
    monkeypatch.setattr(reduced_points, "_code", lambda: "edited")
    assert_same_numbers(read_numbers(results, kept=False), after)
    for file in results.rglob("reduced.zip"):
        file.unlink()
    monkeypatch.setattr(reduced_points, "_SMALLEST", 10**9)
    assert_same_numbers(read_numbers(results, kept=False), after)


@pytest.mark.usefixtures("reducing")
def test_edited_rows_are_refused_whatever_is_kept_of_them(results: Path) -> None:
    read_numbers(results, kept=False)
    rows = PointPaths(results, "p00").rows
    rows.write_bytes(flipped(rows.read_bytes()))
    with pytest.raises(DataError, match="not as it was written"):
        read_numbers(results, kept=False)


@pytest.mark.usefixtures("reducing")
@pytest.mark.parametrize("refuses", ["folder", "disk"])
def test_a_folder_that_cannot_be_written_stays_without(
    results: Path, monkeypatch: pytest.MonkeyPatch, refuses: str
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise StoreError("no space")

    if refuses == "disk":
        monkeypatch.setattr("gradsweep.store.reduced.write_bytes", full)
    else:
        monkeypatch.setattr(os, "access", lambda *args: False)
    found = read_numbers(results, kept=False)
    assert not list(results.rglob("*reduced.zip*"))
    monkeypatch.setattr(reduced_points, "_SMALLEST", 10**9)
    assert_same_numbers(found, read_numbers(results, kept=False))


PACKAGE = Path(gradsweep.__file__).parent
NOT_OF_NUMBERS = ("errors", "config", "progress", "versions", "whole_numbers", "store")
"""Rooms that the code of reduced points imports and that decide no number in them."""


def imported(file: Path, names: set[str] | None = None) -> Iterator[Path]:
    """Modules of the package that a file imports, or that some names in it come from."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        asked = {alias.name for alias in node.names if names is None or alias.name in names}
        room, *rest = str(node.module).split(".")
        if room != PACKAGE.name or not rest or not asked:
            continue
        place = PACKAGE.joinpath(*rest)
        if place.is_dir():  # its __init__ only says where names are
            yield from imported(place / "__init__.py", asked)
        else:
            yield place.with_suffix(".py")


def test_the_code_that_makes_them_is_all_told() -> None:
    told_files = {path for pattern in MADE_BY for path in PACKAGE.glob(pattern)}
    seen: set[Path] = set()
    left = [PACKAGE / "report" / "reduced_points.py"]
    while left:
        file = left.pop()
        if file in seen or file.relative_to(PACKAGE).with_suffix("").parts[0] in NOT_OF_NUMBERS:
            continue
        seen.add(file)
        left += imported(file)
    assert {str(f.relative_to(PACKAGE)) for f in seen - told_files} == set()
