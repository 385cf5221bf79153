"""A report of many points asks a second process for claims and answers: it says the same."""

from pathlib import Path

import pytest
from helpers.process_state import killed
from helpers.stored_points import store_point

from gradsweep.cli import main
from gradsweep.records import Axes
from gradsweep.report import beside
from gradsweep.report.open_questions.answers import questions_of_stored
from gradsweep.report.stored_rows import stored_rows
from gradsweep.store.paths import cache_folder
from gradsweep.store.selection import selection

RESULTS = Path("results")


@pytest.fixture
def stored(wide_terminal: None) -> Path:
    """Two CoT levels with both kinds of responses."""
    for cot, size in (("none", 2.0), ("detailed", 1.0)):
        for kind in ("correct", "irrelevant"):
            store_point(RESULTS, f"{cot}{kind}", Axes("tiny", "sums", cot, kind), size)
    return RESULTS


def texts(results: Path) -> dict[str, str]:
    """Every file of the report that is made of text, but the page, which has the time in it."""
    folder = results / "reports" / "all"
    files = [path for path in folder.rglob("*") if path.suffix in (".md", ".csv", ".tex", ".txt")]
    return {path.name: path.read_text(encoding="utf-8") for path in files}


@pytest.mark.long
@pytest.mark.parametrize("is_killed", [False, True], ids=["done", "killed"])
def test_a_second_process_says_what_this_one_would(is_killed, stored, monkeypatch, capsys):
    """Also one that is killed, as where memory runs out."""
    monkeypatch.setattr(beside, "cores", lambda: 2)
    if is_killed:
        monkeypatch.setattr(beside, "_answers", killed)
    shown = []
    for many in (100, 1):
        cache = cache_folder(stored)
        if cache.exists():
            cache.rename(stored / f"aside{many}")
        monkeypatch.setattr(beside, "MANY_POINTS", many)
        assert main(["report", str(stored)]) == 0
        shown.append((capsys.readouterr().out, texts(stored)))
    assert shown[0] == shown[1]
    assert "findings.md" in shown[0][1]
    assert list((stored / "reports").rglob("*.png"))


def test_few_points_and_answers_that_were_kept_take_no_second_process(stored, monkeypatch):
    monkeypatch.setattr(beside, "new_processes", None)
    source = stored_rows(selection([str(stored)]))
    with beside.beside(source, "nuclear_norm") as other:
        assert other is None
    questions_of_stored(source)
    monkeypatch.setattr(beside, "MANY_POINTS", 1)
    with beside.beside(source, "nuclear_norm") as other:
        assert other is None
