"""Answers that were kept are those of the rows, and nothing kept is stale."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers.stored_points import store_point

from gradsweep.analysis.open_questions import Answered
from gradsweep.records import Axes
from gradsweep.report.open_questions import answers
from gradsweep.report.open_questions.answers import questions_of_stored
from gradsweep.report.open_questions.section import open_questions_markdown
from gradsweep.report.open_questions.tables import save_question_tables
from gradsweep.report.stored_rows import stored_rows
from gradsweep.store.paths import cache_folder
from gradsweep.store.selection import Selection

QUESTIONS = tuple(f"q{n:02}" for n in range(12))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for n, (cot, kind) in enumerate(
        (cot, kind) for cot in ("none", "detailed") for kind in ("correct", "irrelevant")
    ):
        axes = Axes("tiny", "sums", cot, kind)
        store_point(folder, f"p{n}", axes, 1.0 + n, questions=QUESTIONS)
    return folder


def ask(results: Path) -> list[Answered]:
    return questions_of_stored(stored_rows(Selection(results)))


def texts(answered: list[Answered], folder: Path) -> dict[str, str]:
    """Everything that a report says of answers."""
    files = save_question_tables(answered, folder)
    return {"section": open_questions_markdown(answered)} | {f.name: f.read_text() for f in files}


def plots(answered: list[Answered]) -> list[object]:
    return [(p.name, p.ticks, p.lines.schema, p.lines.rows()) for a in answered for p in a.plots]


def refuse(*args: object) -> list[Answered]:
    raise AssertionError("asked again")


def test_the_same_points_are_not_asked_again(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = ask(results)
    monkeypatch.setattr(answers, "questions_of", refuse)
    again = ask(results)
    assert texts(again, tmp_path / "again") == texts(first, tmp_path / "first")
    assert str(plots(again)) == str(plots(first)), "NaN is equal to itself here"
    assert [(a.question, a.said, a.run) for a in again] == [
        (a.question, a.said, a.run) for a in first
    ]


def test_another_point_or_another_number_is_asked(results: Path, tmp_path: Path):
    found = [texts(ask(results), tmp_path / "first")]
    store_point(results, "more", Axes("tiny", "sums", "simplified", "correct"), 9.0,
                questions=QUESTIONS)  # fmt: skip
    found.append(texts(ask(results), tmp_path / "more"))
    shutil.rmtree(results / "points" / "more")
    store_point(results, "more", Axes("tiny", "sums", "simplified", "correct"), 0.1,
                questions=QUESTIONS)  # fmt: skip
    found.append(texts(ask(results), tmp_path / "other"))
    assert found[0] != found[1] != found[2] != found[0]


def test_damaged_answers_are_given_again(results: Path, tmp_path: Path):
    first = ask(results)
    (file,) = cache_folder(results).glob("numbers-*/answers.zip")
    file.write_bytes(file.read_bytes()[:-40])
    assert texts(ask(results), tmp_path / "again") == texts(first, tmp_path / "first")
