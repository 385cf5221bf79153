"""Many pairs of points: a line for each in the terminal, everything else in files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradsweep.analysis.contrast import Contrast
from gradsweep.report.contrast import (
    SIGNIFICANT,
    contrast_table,
    names,
    p_text,
    ratios,
    sentence,
)
from gradsweep.report.labels import projection_label
from gradsweep.report.numerals import MISSING, distinct
from gradsweep.report.plain_text import plain_text
from gradsweep.store.atomic import write_text

MOST_TABLES = 4
"""Pairs whose whole tables fit a screen."""
MOST_LINES = 20
"""Pairs that are listed in the terminal, the most different first."""


def show_sentences(out: Console, contrasts: Sequence[Contrast]) -> None:
    """Print what each pair shows, where there are several."""
    if len(contrasts) > 1:
        out.print(Text("\nall pairs", style="bold"))
        for each in contrasts:
            out.print(Text(f"• {names(each).shared}: {sentence(each)}", overflow="fold"))


def show_many(out: Console, contrasts: Sequence[Contrast], folder: Path) -> None:
    """Print a line for each pair, the most different first, and write all tables and numbers.

    Raises:
        StoreError: the files cannot be written.
    """
    first = names(contrasts[0])
    out.print(Text(f"\n{first.first} → {first.second}", style="bold"))
    out.print(_overview(sorted(contrasts, key=_closeness)[:MOST_LINES]))
    if len(contrasts) > MOST_LINES:
        out.print(Text(f"and {len(contrasts) - MOST_LINES} more, closer to 1", style="dim"))
    for name, text in (
        ("pairs.txt", plain_text(map(contrast_table, contrasts))),
        ("pairs.csv", _numbers(contrasts)),
    ):
        write_text(folder / name, text)
        out.print(f"pairs    {folder / name}", soft_wrap=True)


def _overview(contrasts: Sequence[Contrast]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("pair", overflow="fold")
    for name in ("ratio", "RD", "largest p", "differs in", "questions"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in contrasts:
        tests = each.tests
        clear = tests.filter(pl.col("p_adjusted") < SIGNIFICANT)["projection"].to_list()
        where = " ".join(map(projection_label, clear)) or MISSING
        rds = [each.relative_difference(name) for name in tests["projection"]]
        known = [value for value in rds if math.isfinite(value)]
        table.add_row(
            names(each).shared,
            f"{distinct([_ratio(each)])[0]}×",
            distinct([float(np.mean(known))])[0] if known else MISSING,
            p_text(float(tests["p_adjusted"].fill_nan(None).max() or math.nan)),  # type: ignore[arg-type]
            where,
            str(each.n_questions),
        )
    return table


def _closeness(contrast: Contrast) -> float:
    ratio = _ratio(contrast)
    return -abs(math.log(ratio)) if ratio > 0 else math.inf


def _ratio(contrast: Contrast) -> float:
    """The geometric mean over projections of second over first; NaN where none is positive."""
    known = [ratio for ratio in ratios(contrast) if math.isfinite(ratio)]
    return float(np.exp(np.mean(np.log(known)))) if known else math.nan


def _numbers(contrasts: Sequence[Contrast]) -> str:
    """Every pair's tests by projection, as CSV with every digit."""
    every = pl.concat([each.tests for each in contrasts], how="diagonal")
    return every.fill_nan(None).write_csv()
