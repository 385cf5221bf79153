"""Open questions as lines for the terminal: what each comes to, or what to run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group
from rich.text import Text

from gradsweep.analysis.open_questions import Answered
from gradsweep.report.open_questions.section import TITLE, verdict_words

MOST_SENTENCES = 2
"""Of a question; more are in the files alone."""


def open_questions_lines(answered: Sequence[Answered]) -> Group:
    """Write a few lines for each question, for `rich.console.Console().print`; none without an
    answer."""
    if not any(one.answers for one in answered):
        return Group()
    lines = [line for one in answered for line in _lines(one)]
    return Group(Text(), Text(TITLE, style="bold"), *lines)


def _lines(one: Answered) -> Iterator[Text]:
    verdicts = f" {verdict_words(one)}" if one.answers else ""
    yield Text(f"{one.question.title}{verdicts}", overflow="fold")
    for sentence in one.said[:MOST_SENTENCES]:
        yield Text(f"  {sentence.replace('**', '')}", overflow="fold")
    if len(one.said) > MOST_SENTENCES:
        left = len(one.said) - MOST_SENTENCES
        yield Text(f"  and {left} more models and datasets: findings.md has them all", style="dim")
    if one.run and not one.answers:
        yield Text(f"  {one.run.replace('`', '')}", style="dim", overflow="fold")
