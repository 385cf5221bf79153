"""The section on open questions: what it says, what it leaves to the tables, and the terminal's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
from rich.console import Console

from gradsweep.analysis.open_questions import OPEN_QUESTIONS, Answered
from gradsweep.report.figures.open_questions import question_drawings
from gradsweep.report.open_questions.answers import questions_of
from gradsweep.report.open_questions.section import (
    MOST_LINES,
    MOST_SENTENCES,
    open_questions_markdown,
)
from gradsweep.report.open_questions.tables import save_question_tables
from gradsweep.report.open_questions.terminal import open_questions_lines


def test_every_question_has_its_verdicts_sentences_and_what_could_overturn_it(
    answered: list[Answered],
):
    text = open_questions_markdown(answered)
    assert text.startswith("## Open questions")
    places = [text.index(f"### {question.title}") for question in OPEN_QUESTIONS]
    assert places == sorted(places)
    assert text.count("*What would overturn it: ") == len(OPEN_QUESTIONS)
    overview = text[: places[0]]
    assert "**reversed**: " in overview
    assert "loss summed over tokens" in overview
    assert "| **mean, none / detailed, at equal T** |" in text
    assert "**both reductions**: " in text


def test_a_question_without_points_says_what_to_run_and_no_more(answered: list[Answered]):
    none = [Answered(one.question, run="run `this`") for one in answered]
    text = open_questions_markdown(none)
    assert text.count("To answer it: run `this`.") == len(OPEN_QUESTIONS)
    assert "| model |" not in text
    assert open_questions_markdown([]) == ""


def test_many_models_leave_the_section_short(answered: list[Answered]):
    first = answered[0]
    many = replace(first, answers=first.answers * 100, said=first.said * 100)
    text = open_questions_markdown([many])
    assert len(text.splitlines()) < 2 * MOST_LINES + MOST_SENTENCES + 40
    assert "more are in `tables/open_questions.csv`" in text
    assert "more models and datasets" in text


def test_tables_have_every_answer_and_the_numbers_behind_them(
    answered: list[Answered], tmp_path: Path
):
    written = save_question_tables(answered, tmp_path)
    assert {path.suffix for path in written} == {".csv", ".md", ".tex"}
    table = pl.read_csv(tmp_path / "open_questions.csv")
    assert len(table.filter(under="")) == sum(len(a.answers) for a in answered)
    doses = pl.read_csv(tmp_path / "open_questions__steps_kept__doses.csv")
    assert doses["steps kept"].to_list() == ["0", "1", "2", "all"]


def test_figures_show_both_reductions_and_doses(answered: list[Answered]):
    drawn = question_drawings(answered)
    assert [drawing.names[1] for drawing in drawn] == [
        "reasoning_or_tokens", "steps_kept", "detection", "where_it_responds",
    ]  # fmt: skip
    both = drawn[0].draw(drawn[0].frame, drawn[0].metric)
    assert both is not None
    assert [axes.get_title() for axes in both.axes] == ["averaged", "summed"]
    assert all(axes.get_xscale() == "log" for axes in both.axes)
    doses = drawn[1].draw(drawn[1].frame, drawn[1].metric)
    assert doses is not None
    assert [label.get_text() for label in doses.axes[0].get_xticklabels()] == ["0", "1", "2", "all"]


def test_the_terminal_has_a_few_lines_for_each_question(answered: list[Answered]):
    with (console := Console(width=200)).capture() as captured:
        console.print(open_questions_lines(answered))
    lines = captured.get().splitlines()
    assert "Open questions" in lines[1]
    for question in OPEN_QUESTIONS:
        assert any(line.startswith(question.title) for line in lines)
    assert len(lines) < 5 * len(OPEN_QUESTIONS)
    with console.capture() as captured:
        console.print(open_questions_lines([Answered(OPEN_QUESTIONS[0], run="run this")]))
    assert captured.get().strip() == ""


def test_the_summed_loss_and_other_objectives_have_no_such_section(
    points: tuple[pl.DataFrame, pl.DataFrame],
):
    rows, samples = points
    assert questions_of(rows, samples, "sum") == []
    assert questions_of(rows.with_columns(objective=pl.lit("dpo")), samples) == []
    assert questions_of(rows.clear(), samples) == []
