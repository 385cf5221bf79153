"""A table of numbers with their intervals in the same cells, as Markdown."""

from __future__ import annotations

import math

from gradsweep.report.formats import TableFile
from gradsweep.report.markdown import markdown_table


def interval_table(table: TableFile, most: int | None = None) -> str:
    """Write a pipe table whose cells have the interval behind the value, where there is one.

    Args:
        table: with `<column> low` and `<column> high` beside its columns.
        most: lines; a last line says how many more the files have.
    """
    names = [name for group in table.groups for name in group.names]
    columns = [column for group in table.groups for column in group.columns]
    n_keys = len(table.keys)
    lines = []
    for line, texts in zip(table.frame.to_dicts(), table.cells, strict=True):
        ends = [ends_words(line.get(f"{c} low"), line.get(f"{c} high")) for c in columns]
        cells = [f"{text}{end}" for text, end in zip(texts[n_keys:], ends, strict=True)]
        lines.append([*texts[:n_keys], *cells])
    written = markdown_table([*table.keys, *names], lines[:most])
    left = len(lines) - len(lines[:most])
    return f"{written}\n\n{left} more lines are in `tables/{table.name}.csv`." if left else written


def ends_words(low: float | None, high: float | None) -> str:
    """Write an interval behind a value, ` [4, 4.6]`; nothing without one."""
    known = low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
    return f" [{low:.3g}, {high:.3g}]" if known else ""
