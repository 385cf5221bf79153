"""A table as a file: CSV with every digit, LaTeX (booktabs) and Markdown to be read."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from gradsweep.report.numerals import MISSING, aligned
from gradsweep.store.atomic import write_changed_text


@dataclass(frozen=True)
class ColumnGroup:
    """Neighbouring columns of values under one heading: those of a model."""

    heading: str
    columns: tuple[str, ...]
    """Columns of the frame."""
    names: tuple[str, ...]
    """What a reader sees above each of them."""


@dataclass(frozen=True)
class TableFile:
    """One table, ready to be written in every format."""

    name: str
    """Stem of its files."""
    caption: str
    keys: tuple[str, ...]
    """Columns that say what a line is about, the slowest first."""
    groups: tuple[ColumnGroup, ...]
    frame: pl.DataFrame
    """Lines in order; numbers are floats or integers, NaN or null where there is none. Beside its
    columns it may have, for the page, `<column> low` and `<column> high`, an interval's ends, and
    `<heading> n`, the questions or samples behind a group's line."""
    title: str = ""
    """What it is about, in words."""
    quantity: str | None = None
    """The key that says what a line's numbers are; None where the columns' names say it."""
    blocks: int = 1
    """So many of the first keys make a block, which is set apart from the next."""

    @cached_property
    def cells(self) -> list[list[str]]:
        """Cells as a reader sees them: numbers of the same quantity have the same decimals."""
        return _cell_texts(self)


def save_table(table: TableFile, folder: Path) -> list[Path]:
    """Write a table as CSV, Markdown and LaTeX; a file that says the same already is left alone.

    Raises:
        StoreError: a file cannot be written.
    """
    texts = {"csv": csv(table), "md": markdown(table), "tex": latex(table)}
    for suffix, text in texts.items():
        write_changed_text(folder / f"{table.name}.{suffix}", text)
    return [folder / f"{table.name}.{suffix}" for suffix in texts]


def csv(table: TableFile) -> str:
    """Write full precision, one heading line, empty cells where there is no value."""
    columns = [*table.keys, *(c for group in table.groups for c in group.columns)]
    kinds = table.frame.schema
    numbers = [name for name in columns if kinds[name].is_float()]
    return table.frame.select(columns).with_columns(pl.col(numbers).fill_nan(None)).write_csv()


def markdown(table: TableFile) -> str:
    """Write a pipe table under its caption; numbers to the right."""
    groups = table.groups
    names = [
        f"{name}<br>{_markdown_text(group.heading)}" if len(groups) > 1 else name
        for group in groups
        for name in map(_markdown_text, group.names)
    ]
    heading = [*map(_markdown_text, table.keys), *names]
    rule = [*("---" for _ in table.keys), *("---:" for _ in names)]
    caption = table.caption if len(groups) > 1 else f"{table.caption} ({groups[0].heading})"
    lines = [heading, rule, *(list(map(_markdown_text, cells)) for cells in table.cells)]
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{_markdown_text(caption)}\n\n{body}\n"


def latex(table: TableFile) -> str:
    r"""Write a floating `tabular` that needs only `\usepackage{booktabs}`, for any names."""
    n_values = sum(len(group.columns) for group in table.groups)
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table*}[t]",
        r"\centering\small\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{latex_text(table.caption)}}}",
        rf"\label{{tab:{re.sub(r'[^A-Za-z0-9:.-]+', '-', table.name)}}}",
        rf"\begin{{tabular}}{{{'l' * len(table.keys)}{'r' * n_values}}}",
        r"\toprule",
        *_latex_headings(table),
        r"\midrule",
        *_latex_body(table),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def latex_text(text: str) -> str:
    """Spell out every character of `text` that LaTeX reads as a command, or lacks."""
    in_mathematics = re.sub(
        f"[{''.join(_MATHEMATICS)}]+",
        lambda run: f"\0{''.join(_MATHEMATICS[sign] for sign in run[0])}\0",
        text,
    )
    parts = in_mathematics.split("\0")
    return "".join(
        f"${part}$" if index % 2 else "".join(_LATEX.get(sign, sign) for sign in part)
        for index, part in enumerate(parts)
    )


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "–": "--",
    "—": "---",
}
_MATHEMATICS = {
    "·": r"\cdot ",
    "×": r"\times ",
    "σ": r"\sigma ",
    "Σ": r"\Sigma ",
    "√": r"\surd ",
    "₁": "_1",
    "²": "^2",
    "‖": r"\Vert ",
}


def _latex_headings(table: TableFile) -> list[str]:
    """The models over their columns, with rules below that do not touch, then the columns."""
    spans, rules = [], []
    column = len(table.keys) + 1
    for group in table.groups:
        width = len(group.columns)
        spans.append(rf"\multicolumn{{{width}}}{{c}}{{{latex_text(group.heading)}}}")
        rules.append(rf"\cmidrule(lr){{{column}-{column + width - 1}}}")
        column += width
    names = [*table.keys, *(name for group in table.groups for name in group.names)]
    return [
        " & ".join(["" for _ in table.keys] + spans).strip() + r" \\",
        " ".join(rules),
        " & ".join(map(latex_text, names)) + r" \\",
    ]


def _latex_body(table: TableFile) -> list[str]:
    """Lines with a repeated key left empty, and a thin space between blocks."""
    lines: list[str] = []
    before: list[str] = []
    for cells in table.cells:
        keys, values = cells[: len(table.keys)], cells[len(table.keys) :]
        same = _common_start(before, keys)
        if before and same < table.blocks:
            lines.append(r"\midrule" if same == 0 else r"\addlinespace")
        shown = ["" if index < same else latex_text(key) for index, key in enumerate(keys)]
        lines.append(" & ".join([*shown, *map(_latex_number, values)]) + r" \\")
        before = keys
    return lines


def _common_start(before: Sequence[str], keys: Sequence[str]) -> int:
    """How many of the leading keys are those of the line before."""
    same = 0
    for old, new in zip(before, keys, strict=False):
        if old != new:
            break
        same += 1
    return same


def _latex_number(text: str) -> str:
    power = re.fullmatch(r"(-?[\d.]+)e([+-]\d+)", text)
    if power:
        return rf"${power[1]}\cdot10^{{{int(power[2])}}}$"
    return f"${text}$" if text.startswith("-") else latex_text(text)


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\|*<>`])", r"\\\1", text)


def _cell_texts(table: TableFile) -> list[list[str]]:
    columns = {
        column: name
        for group in table.groups
        for column, name in zip(group.columns, group.names, strict=True)
    }
    kinds = table.frame.schema
    lines = table.frame.to_dicts()
    cells = [
        {key: str(line[key]) for key in table.keys} | {c: _plain(line[c]) for c in columns}
        for line in lines
    ]
    places: dict[str, list[tuple[int, str]]] = {}
    for index, line in enumerate(lines):
        for column, name in columns.items():
            if kinds[column].is_float():
                quantity = line[table.quantity] if table.quantity else name
                places.setdefault(quantity, []).append((index, column))
    for of_quantity in places.values():
        texts = aligned([_float(lines[index][column]) for index, column in of_quantity])
        for (index, column), text in zip(of_quantity, texts, strict=True):
            cells[index][column] = text
    return [list(line.values()) for line in cells]


def _float(value: float | None) -> float:
    return math.nan if value is None else value


def _plain(value: Any) -> str:
    """An integer, or text such as a list of layers."""
    return MISSING if value is None or value == "" else str(value)
