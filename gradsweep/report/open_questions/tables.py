"""Tables of open questions: every answer with its controls, and the numbers behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gradsweep.analysis.open_questions import Answered, Numbers, OpenQuestion, answers_frame
from gradsweep.report.formats import ColumnGroup, TableFile, save_table
from gradsweep.store.atomic import write_text

STEM = "open_questions"


def number_table(question: OpenQuestion, numbers: Numbers) -> TableFile:
    """Make a table file of the numbers behind a question."""
    columns = tuple(numbers.columns)
    heading = ColumnGroup(numbers.title, columns, tuple(numbers.columns.values()))
    return TableFile(
        name=f"{STEM}__{question.key}__{numbers.name}",
        caption=numbers.caption,
        keys=numbers.keys,
        groups=(heading,),
        frame=numbers.frame,
        title=f"{question.title} {numbers.title}",
    )


def save_question_tables(answered: Sequence[Answered], folder: Path) -> list[Path]:
    """Write all answers as one CSV, and each table of numbers as CSV, LaTeX and Markdown.

    Raises:
        StoreError: a file cannot be written.
    """
    if not answered:
        return []
    written = [folder / f"{STEM}.csv"]
    write_text(written[0], answers_frame(answered).fill_nan(None).write_csv())
    for one in answered:
        for numbers in one.numbers:
            written += save_table(number_table(one.question, numbers), folder)
    return written
