"""Tables and lists as Markdown, whole or their first lines."""

from __future__ import annotations

from collections.abc import Sequence

MOST_LINES = 200
"""Lines of a table, or of a list, on the page; findings.md has them all."""


def markdown_table(heading: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [heading, ["---"] * len(heading), *lines]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows
    )


def first_lines(heading: Sequence[str], lines: Sequence[Sequence[str]], most: int | None) -> str:
    """Write a table; of more than `most` lines the first, and where the others are."""
    return markdown_table(heading, lines[:most]) + _more(len(lines), most)


def first_items(lines: Sequence[str], most: int | None) -> str:
    """Write a list, as `first_lines` does a table."""
    return "\n".join(f"- {line}" for line in lines[:most]) + _more(len(lines), most)


def _more(n_lines: int, most: int | None) -> str:
    hidden = 0 if most is None else n_lines - most
    return f"\n\nand {hidden} more, in findings.md" if hidden > 0 else ""
