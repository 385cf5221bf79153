"""The comparison as a table for the terminal: conditions side by side, sentences below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from gradsweep.report.comparison import Comparison, Condition, comparisons, comparisons_of
from gradsweep.report.labels import metric_label, projection_label
from gradsweep.report.measures import Measures
from gradsweep.report.numerals import MISSING, aligned
from gradsweep.report.reading import sentences


def comparison_table(
    rows: pl.DataFrame, metric: str = "nuclear_norm", samples: pl.DataFrame | None = None
) -> Group:
    """Draw the tables of every model and dataset in `rows`, for `rich.console.Console().print`.

    Each has a column for every condition and, for every projection, the curve's mean over
    layers, its MAD, MAD over the mean, and the RD between correct and irrelevant responses (paper
    section 3); below it, what the numbers show. Where the terminal is too narrow for all
    conditions, the columns go on in a second table. Empty for empty `rows`.
    With `samples` (`load_samples_table`) it has the mean loss, and the metric may be `loss`.

    Raises:
        ConfigError: an unknown metric, or one without a value.
    """
    return _drawn(comparisons(rows, metric, samples))


def measures_table(measures: Measures, losses: Measures | None = None) -> Group:
    """Draw the tables of `comparison_table` from what is computed already."""
    return _drawn(comparisons_of(measures, losses))


def _drawn(found: Sequence[Comparison]) -> Group:
    return Group(*map(ComparisonView, found))


@dataclass(frozen=True)
class ComparisonView:
    """Draw one comparison to the width it is given."""

    comparison: Comparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        comparison = self.comparison
        yield Text()
        yield title_of(comparison)
        yield Text(_legend(comparison), style="dim")
        for levels in _levels_that_fit(comparison, console, options):
            yield _table(comparison, levels)
        yield bulleted(sentences(comparison))


def title_of(comparison: Comparison) -> Text:
    """Name what is compared."""
    named = f"{comparison.model} · {comparison.dataset} · {metric_label(comparison.metric)}"
    return Text(named, style="bold", overflow="fold")


def _legend(comparison: Comparison) -> str:
    legend = "mean over layers · MAD between neighbouring layers"
    if comparison.per_sample:
        legend = "mean over samples · no layers"
    if comparison.between_seeds:
        legend = legend.replace(" ·", " · ± seeds: 95 % of it between seeds ·", 1)
    return f"{legend} · RD correct vs irrelevant" if comparison.pairs else legend


def _levels_that_fit(
    comparison: Comparison, console: Console, options: ConsoleOptions
) -> list[list[str]]:
    """CoT levels, kept whole so that what is compared stays side by side, table by table."""
    unlimited = options.update(max_width=10_000)

    def fits(levels: Sequence[str]) -> bool:
        table = _table(comparison, levels)
        return Measurement.get(console, unlimited, table).maximum <= options.max_width

    if fits(comparison.levels):
        return [list(comparison.levels)]
    tables: list[list[str]] = []
    for level in comparison.levels:
        wider = [*tables[-1], level] if tables else [level]
        if tables and fits(wider):
            tables[-1] = wider
        else:
            tables.append([level])
    return tables


def _table(comparison: Comparison, levels: Sequence[str]) -> Table:
    shown = [condition for condition in comparison.conditions if condition.cot in levels]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("", no_wrap=True)
    for condition in shown:
        level = condition.cot.replace("_as_long_as_", "\nas long as\n")
        heading = Text(f"{level}\n{condition.correctness}")
        table.add_column(heading, justify="right", overflow="fold", max_width=14)
    table.add_row("samples", "", *(str(condition.n_samples) for condition in shown))
    if comparison.between_seeds:
        table.add_row("seeds", "", *(str(condition.n_seeds) for condition in shown))
    if comparison.losses:
        texts = dict(zip(comparison.losses, aligned([*comparison.losses.values()]), strict=True))
        cells = (texts.get((c.cot, c.correctness), MISSING) for c in shown)
        table.add_row("loss", "", *cells)
    _add_block(table, "mean", comparison.projections, shown, comparison.means)
    if comparison.between_seeds:
        _add_block(table, "± seeds", comparison.projections, shown, comparison.between_seeds)
    if not comparison.per_sample:
        _add_block(table, "MAD", comparison.projections, shown, comparison.mads)
        _add_block(table, "MAD/mean", comparison.projections, shown, comparison.relative_mads)
    if comparison.pairs:
        _add_differences(table, comparison, shown)
    return table


def _add_block(
    table: Table,
    name: str,
    projections: Sequence[str],
    shown: Sequence[Condition],
    values: Mapping[tuple[str, str, str], float],
) -> None:
    """A block of numbers, one line for each projection, after a blank line."""
    # Decimals are those of the whole comparison, so that tables that go on read alike.
    texts = dict(zip(values, aligned(list(values.values())), strict=True))
    table.add_row()
    for index, projection in enumerate(projections):
        cells = [texts.get((c.cot, c.correctness, projection), MISSING) for c in shown]
        table.add_row(name if index == 0 else "", projection_label(projection), *cells)


def _add_differences(table: Table, comparison: Comparison, shown: Sequence[Condition]) -> None:
    """RD once for each CoT level: in its last column, below irrelevant when there is one."""
    numbers = aligned([pair.relative_difference for pair in comparison.pairs.values()])
    texts = dict(zip(comparison.pairs, numbers, strict=True))
    last_of_level = {condition.cot: condition for condition in shown}
    table.add_row()
    for index, projection in enumerate(comparison.projections):
        cells = [
            texts.get((c.cot, projection), MISSING) if last_of_level[c.cot] is c else ""
            for c in shown
        ]
        table.add_row("RD" if index == 0 else "", projection_label(projection), *cells)
    questions: dict[str, int] = {}
    for (cot, _), pair in comparison.pairs.items():
        questions[cot] = max(pair.n_questions, questions.get(cot, 0))
    paired = [
        str(questions.get(c.cot, MISSING)) if last_of_level[c.cot] is c else "" for c in shown
    ]
    table.add_row("paired", "", *paired)


def bulleted(lines: Sequence[str]) -> Table:
    """Draw sentences, each behind a dot."""
    bullets = Table.grid(padding=(0, 1))
    bullets.add_column(no_wrap=True)
    bullets.add_column(overflow="fold")
    for line in lines:
        bullets.add_row("•", Text(line))
    return bullets
