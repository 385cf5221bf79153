"""The section "Open questions" as Markdown: verdicts, sentences, answers and their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradsweep.analysis.claims import Outcome
from gradsweep.analysis.open_questions import Answer, Answered
from gradsweep.report.findings import (
    interval_words,
    marked,
    outcomes_words,
    verdict_counts,
)
from gradsweep.report.interval_table import interval_table
from gradsweep.report.markdown import markdown_table
from gradsweep.report.numerals import MISSING
from gradsweep.report.open_questions.tables import number_table

TITLE = "Open questions"
MOST_SENTENCES = 12
MOST_LINES = 40
"""More of them are in the tables' files alone."""

_WHAT = """\
What the study leaves open, as far as these points go. Verdicts, intervals and controls are those of
the claims; the statistics that decide stand in the first table, by model and dataset, and every
answer says what could overturn it (`docs/questions.md`)."""


def open_questions_markdown(answered: Sequence[Answered]) -> str:
    """Write the section of a report on open questions.

    Returns:
        Markdown from a second-level heading on; empty without a question.
    """
    if not answered:
        return ""
    parts = [f"## {TITLE}", _WHAT, _overview(answered)]
    for one in answered:
        parts += _question(one)
    return "\n\n".join(parts)


def verdict_words(one: Answered) -> str:
    """Count the verdicts of the answers that decide a question, by model and dataset."""
    return verdict_counts(answer.verdict for answer in deciding(one))


def deciding(one: Answered) -> list[Answer]:
    """Choose the answers that decide a question: not those that are details."""
    return [answer for answer in one.answers if answer.statement.decides]


def _overview(answered: Sequence[Answered]) -> str:
    lines = [
        [one.question.title, _first(one), verdict_words(one), outcomes_words(_outcomes(one))]
        for one in answered
    ]
    return markdown_table(["question", "asked", "verdicts", "what would overturn them"], lines)


def _first(one: Answered) -> str:
    """What its verdicts are on, or what to run."""
    statements = dict.fromkeys(answer.statement.statistic for answer in deciding(one))
    several = f" and {len(statements) - 1} more" if len(statements) > 1 else ""
    return f"{next(iter(statements))}{several}" if statements else one.run or MISSING


def _outcomes(one: Answered) -> dict[str, list[Outcome]]:
    """Control -> what becomes of verdicts under it, each once."""
    found: dict[str, dict[Outcome, None]] = {}
    for answer in deciding(one):
        for control in answer.controls:
            found.setdefault(control.name, {})[control.outcome] = None
    return {name: list(outcomes) for name, outcomes in found.items()}


def _question(one: Answered) -> Iterator[str]:
    yield f"### {one.question.title}"
    yield one.question.text
    if one.said:
        yield sentences(one)
    if one.run:
        yield f"To answer it{' whole' if one.answers else ''}: {one.run}."
    if one.answers:
        yield _answers(one)
    yield f"*What would overturn it: {one.question.overturned_by}*"
    for numbers in one.numbers:
        yield f"**{numbers.title}**: {numbers.caption}."
        yield interval_table(number_table(one.question, numbers), MOST_LINES)


def sentences(one: Answered) -> str:
    """Write what was found as a list, a line for each model and dataset."""
    lines = [f"- {sentence}." for sentence in one.said[:MOST_SENTENCES]]
    left = len(one.said) - len(lines)
    return "\n".join([*lines, *([f"- and {left} more models and datasets."] if left else [])])


def _answers(one: Answered) -> str:
    lines = [_line(answer) for answer in one.answers]
    table = markdown_table(
        ["model", "dataset", "statistic", "value", "verdict", "why", "what would overturn it"],
        lines[:MOST_LINES],
    )
    left = len(lines) - MOST_LINES
    return f"{table}\n\n{left} more are in `tables/open_questions.csv`." if left > 0 else table


def _line(answer: Answer) -> list[str]:
    statement, scope = answer.statement, answer.scope
    name = f"**{statement.statistic}**" if statement.decides else statement.statistic
    controls = {control.name: [control.outcome] for control in answer.controls}
    return [
        scope.model_words, scope.dataset, name, interval_words(answer), marked(answer.verdict),
        answer.reason, outcomes_words(controls),
    ]  # fmt: skip
