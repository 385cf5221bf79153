"""Open questions as lines for the terminal: what each comes to, or what to run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from gradsweep.analysis.open_questions import Answered
from gradsweep.report.open_questions.section import TITLE, deciding, verdict_words

MOST_SENTENCES = 2
"""Of a question; more are in the files alone."""


def open_questions_lines(answered: Sequence[Answered]) -> Group:
    """Write a few lines for each question, for `rich.console.Console().print`; none without an
    answer."""
    if not any(one.answers for one in answered):
        return Group()
    lines = [line for one in answered for line in _lines(one)]
    return Group(Text(), Text(TITLE, style="bold"), *lines)


def _lines(one: Answered) -> Iterator[RenderableType]:
    verdicts = f" {verdict_words(one)}" if deciding(one) else ""
    yield Text(f"{one.question.title}{verdicts}", overflow="fold")
    for sentence in one.said[:MOST_SENTENCES]:
        yield _indented(sentence.replace("**", ""))
    if len(one.said) > MOST_SENTENCES:
        left = len(one.said) - MOST_SENTENCES
        yield _indented(f"and {left} more models and datasets: findings.md has them all", "dim")
    if one.run and not one.answers:
        yield _indented(one.run.replace("`", ""), "dim")


def _indented(text: str, style: str = "") -> Padding:
    return Padding(Text(text, style=style, overflow="fold"), (0, 0, 0, 2))
