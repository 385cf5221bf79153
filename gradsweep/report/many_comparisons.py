"""Many models and datasets, or many levels of one: a line for each, the whole tables in a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from gradsweep.report.comparison import Comparison
from gradsweep.report.labels import (
    level_label,
    metric_label,
    projection_label,
    responses_words,
)
from gradsweep.report.numerals import MISSING, aligned, distinct
from gradsweep.report.plain_text import plain_text
from gradsweep.report.reading import sentences
from gradsweep.report.table import ComparisonView, bulleted, title_of
from gradsweep.store.atomic import write_text

MOST_TABLES = 2
"""Models and datasets whose whole tables fit a screen."""
MOST_LEVELS = 4
"""CoT levels whose whole table does: one with irrelevant responses takes two columns for each."""
MOST_LINES = 30


def comparison_overview(comparisons: Sequence[Comparison], n_studies: int) -> list[Table | Text]:
    """Draw a line for each model and dataset: the mean of its main responses by level, and RD.

    Numbers are averages over the projections that all conditions have. At most `MOST_LINES`, of
    `n_studies`.
    """
    levels = list(dict.fromkeys(level for one in comparisons for level in one.main_levels))
    paired = list(dict.fromkeys(level for one in comparisons for level in one.paired_levels))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("model · dataset", overflow="fold", min_width=24)
    for level in levels:
        table.add_column(level_label(level).replace(" ", "\n"), justify="right", no_wrap=True)
    for level in paired:
        table.add_column(f"RD\n{level}", justify="right", no_wrap=True)
    for one in comparisons[:MOST_LINES]:
        means = [_mean(one, level) for level in levels]
        rds = [_difference(one, level) for level in paired]
        table.add_row(f"{one.model} · {one.dataset}", *map(_text, means), *map(_text, rds))
    kinds = dict.fromkeys(responses_words(one.responses) for one in comparisons)
    title = f"{metric_label(comparisons[0].metric)}, {' or '.join(kinds)}: mean over layers"
    hidden = n_studies - MOST_LINES
    more = [Text(f"and {hidden} more", style="dim")] if hidden > 0 else []
    return [Text(), Text(title, style="bold"), table, *more]


def fits_a_screen(comparisons: Sequence[Comparison]) -> bool:
    """Tell whether all whole tables do."""
    few = len(comparisons) <= MOST_TABLES
    return few and all(len(one.levels) <= MOST_LEVELS for one in comparisons)


def levels_overview(comparison: Comparison) -> Group:
    """Draw a line for each CoT level: loss, RD, means by projection; sentences below.

    Means are of the main responses, RD is averaged over the projections that all conditions have.
    Samples are counted where levels differ in them.
    """
    responses, projections = comparison.responses, comparison.projections
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(
        responses_words(responses).replace(" ", "\n", 1), overflow="fold", min_width=14
    )
    shown = [c for c in comparison.conditions if c.correctness == responses]
    counts = [str(c.n_samples) for c in shown]
    columns = {"samples": counts} if len(set(counts)) > 1 else {}
    if comparison.losses:
        losses = [comparison.losses.get((c.cot, responses), math.nan) for c in shown]
        columns["loss"] = aligned(losses)
    if comparison.pairs:
        columns["RD"] = aligned([_difference(comparison, c.cot) for c in shown])
    means = [
        comparison.means.get((c.cot, responses, name), math.nan)
        for name in projections
        for c in shown
    ]
    texts = aligned(means)
    for place, name in enumerate(projections):
        columns[projection_label(name)] = texts[place * len(shown) : (place + 1) * len(shown)]
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for condition, *cells in zip(shown, *columns.values(), strict=True):
        table.add_row(condition.cot.replace("_as_long_as_", "\nas long as\n"), *cells)
    over = "samples" if comparison.per_sample else "layers"
    legend = f"mean over {over}" + (" · RD correct vs irrelevant" if comparison.pairs else "")
    title, below = title_of(comparison), bulleted(sentences(comparison))
    return Group(Text(), title, Text(legend, style="dim"), table, below)


def write_comparisons(path: Path, comparisons: Sequence[Comparison]) -> Path:
    """Write every whole table into a file.

    Raises:
        StoreError: it cannot be written.
    """
    write_text(path, plain_text(map(ComparisonView, comparisons)))
    return path


def _mean(comparison: Comparison, level: str) -> float:
    names = comparison.common_projections
    return _average([comparison.means.get((level, comparison.responses, name)) for name in names])


def _difference(comparison: Comparison, level: str) -> float:
    pairs = [comparison.pairs.get((level, name)) for name in comparison.common_projections]
    return _average([None if pair is None else pair.relative_difference for pair in pairs])


def _average(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known and len(known) == len(values) else math.nan


def _text(value: float) -> str:
    return distinct([value])[0] if math.isfinite(value) else MISSING
