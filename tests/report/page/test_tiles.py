"""A large page reads the data of a model and dataset when they are looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from helpers.page_reader import choose, drawn, element, show, tick, until

from gradsweep.report.page import tiles

PageOf = Callable[..., Path]


@pytest.fixture
def page(page_of: PageOf, rows: pl.DataFrame, tmp_path: Path, monkeypatch: Any) -> Path:
    monkeypatch.setattr(tiles, "MOST_INSIDE", 1000)
    return page_of(rows, tmp_path / "all")


def test_a_small_page_holds_everything(page_of: PageOf, rows: pl.DataFrame, tmp_path: Path) -> None:
    page_of(rows, tmp_path / "all")
    assert [path.name for path in (tmp_path / "all").iterdir()] == ["index.html"]


def test_tiles_together_have_what_a_small_page_has(
    page: Path, page_of: PageOf, rows: pl.DataFrame, tmp_path: Path, monkeypatch: Any, data_of: Any
) -> None:
    monkeypatch.undo()
    whole = data_of(page_of(rows, tmp_path / "small"))
    inside = data_of(page)
    curves: list[Any] = []
    points: dict[str, Any] = {}
    for address in inside["tiles"].values():
        text = (page.parent / address).read_text(encoding="utf-8")
        arguments = text.removeprefix("tileHere(").removesuffix(");\n")
        _, part = json.loads(f"[{arguments}]")
        curves += part.get("curves", {}).get("nuclear_norm", [])
        points |= part.get("points", {})
    key = lambda curve: (curve["point"], curve["projection"])  # noqa: E731
    assert sorted(curves, key=key) == sorted(whole["curves"]["nuclear_norm"], key=key)
    assert [p | points[p["id"]] for p in inside["points"]] == whole["points"]
    assert len(page.read_bytes()) < len((tmp_path / "small" / "index.html").read_bytes())


def test_tiles_of_an_earlier_page_are_removed(page: Path) -> None:
    stray = page.parent / "data" / "9999.js"
    stray.write_text("")
    data = {"curves": {}, "differences": {}, "tables": [], "points": [], "more": "x" * 2000}
    tiles.in_tiles(data, page.parent, None)
    assert not stray.exists()


def test_a_reader_sees_curves_tables_and_points_of_what_is_chosen(
    page: Path, chromium: Any
) -> None:
    show(chromium, page)
    until(lambda: drawn(chromium))
    assert "reading" not in element(chromium, "message").text
    tick(chromium, "tiny_instruct")
    choose(chromium, "rows", "model")
    until(lambda: "tiny_instruct" in chromium.page_source)
    until(lambda: element(chromium, "table").find_elements("css selector", "tbody tr"))
    until(lambda: "Samples farthest" in element(chromium, "point").text)
    assert "settings.csv" in element(chromium, "reproduction").text
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_page_without_its_tiles_says_so(page: Path, chromium: Any) -> None:
    for file in (page.parent / "data").iterdir():
        file.unlink()
    show(chromium, page)
    until(lambda: "is missing beside this page" in element(chromium, "message").text)
