"""Two conditions of training in front of a person: a table by step, and every number as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from gradsweep.analysis.training import contrast_by_step
from gradsweep.analysis.training.contrast import PROBE, UPDATE
from gradsweep.errors import DataError
from gradsweep.records import POINT_LABELS, SAMPLE_METRICS
from gradsweep.report.contrast import Names, names_of_pair
from gradsweep.report.labels import metric_label, metric_words
from gradsweep.report.numerals import MISSING, aligned
from gradsweep.report.training.pairing import RunPair
from gradsweep.report.training.study import DEFAULT_METRIC
from gradsweep.report.training.tables import evenly, probe_name
from gradsweep.store.atomic import write_text
from gradsweep.store.training import load_training

MOST_TABLES = 4
"""Pairs whose tables fit a terminal."""
MOST_STEPS = 6
"""Steps of a quantity in the terminal; the CSV has all."""
_QUANTITY = ["quantity", "probe_cot", "probe_correctness"]


@dataclass(frozen=True)
class RunContrast:
    """Two conditions of training, by step."""

    pair: RunPair
    metric: str
    by_step: pl.DataFrame
    """Of `gradsweep.analysis.training.contrast_by_step`."""

    @property
    def names(self) -> Names:
        return names_of_pair(self.pair.labels)


def run_contrasts(results: Path, pairs: Sequence[RunPair], metric: str) -> list[RunContrast]:
    """Compare the runs of every pair.

    Args:
        results: the results folder.
        pairs: of `training_pairs`.
        metric: of gradients; the nuclear norm where one of samples is given: losses are compared
            anyway.

    Raises:
        ConfigError: an unknown metric.
        DataError: no pair has a step that both sides have measured.
    """
    of_rows = DEFAULT_METRIC if metric in SAMPLE_METRICS else metric
    tables = load_training(results, {name for pair in pairs for both in pair.runs for name in both})
    found = [
        RunContrast(pair, of_rows, contrast_by_step(tables, pair.runs, of_rows)) for pair in pairs
    ]
    measured = [each for each in found if len(each.by_step)]
    if not measured:
        ids = ", ".join(name[:8] for pair in pairs for both in pair.runs for name in both)
        raise DataError(
            f"there is nothing to compare yet: {ids} have no step that both sides have measured; "
            "run the same command again"
        )
    return measured


def show_run_contrasts(out: Console, contrasts: Sequence[RunContrast], folder: Path) -> None:
    """Print a table for each of the first pairs, and write every number of all.

    Raises:
        StoreError: the file cannot be written.
    """
    for each in contrasts[:MOST_TABLES]:
        out.print(_view(each))
    if len(contrasts) > MOST_TABLES:
        left = len(contrasts) - MOST_TABLES
        out.print(Text(f"and {left} more pairs: the file has them all", style="dim"))
    alone = [name[:8] for each in contrasts for name in each.pair.alone]
    if alone:
        told = f"left out, as no run on the other side has their seeds: {', '.join(alone)}"
        out.print(Text(told, style="dim", overflow="fold"))
    path = folder / "by_step.csv"
    write_text(path, _numbers(contrasts))
    out.print(f"by step  {path}", soft_wrap=True)


def _view(contrast: RunContrast) -> Group:
    called = contrast.names
    title = " · ".join(part for part in (called.shared, metric_label(contrast.metric)) if part)
    return Group(
        Text(),
        Text(f"{title}\n{called.first} → {called.second}", style="bold", overflow="fold"),
        Text(_legend(contrast), style="dim"),
        _table(contrast, called),
    )


def _legend(contrast: RunContrast) -> str:
    """Say what the numbers are means over, and what intervals are of."""
    n_runs = len(contrast.pair.runs)
    over = "gradients: mean over layers and projections"
    if n_runs > 1:
        return (
            f"means and 95 % intervals over {n_runs} runs of each, paired by their seeds · {over}"
        )
    probes = contrast.by_step.filter(quantity=PROBE)["n_questions"].to_list()
    if not probes or max(probes) < 2:
        return f"one run of each, so there are no intervals · {over}"
    return f"one run of each: probes have 95 % intervals over {max(probes)} questions · {over}"


def _table(contrast: RunContrast, called: Names) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("", overflow="fold")
    for heading in ("step", called.first, called.second, "difference", "95 % interval"):
        table.add_column(heading, justify="right", overflow="fold")
    for name, lines in _quantities(contrast):
        for place, line in enumerate(lines):
            table.add_row(name if place == 0 else "", *line)
        table.add_section()
    return table


def _quantities(contrast: RunContrast) -> Iterator[tuple[str, list[list[str]]]]:
    """Name each quantity, with the cells of the steps that are shown."""
    for part in contrast.by_step.partition_by(_QUANTITY, maintain_order=True):
        steps = evenly(part["step"].to_list(), MOST_STEPS)
        shown = part.filter(pl.col("step").is_in(steps))
        values = aligned([*shown["first"], *shown["second"], *shown["difference"]])
        ends = aligned([*shown["low"], *shown["high"]])
        n = len(shown)
        lines = [
            [str(step), *values[place::n], _interval(ends[place], ends[n + place])]
            for place, step in enumerate(shown["step"])
        ]
        yield _name(part.row(0, named=True), contrast.metric), lines


def _name(line: dict[str, str], metric: str) -> str:
    if line["quantity"] == PROBE:
        return f"{metric_words(metric)}, {probe_name(line['probe_cot'], line['probe_correctness'])}"
    if line["quantity"] == UPDATE:
        return f"{metric_words(metric)}, update"
    return line["quantity"]


def _interval(low: str, high: str) -> str:
    return "" if MISSING in (low, high) else f"{low} … {high}"


def _numbers(contrasts: Sequence[RunContrast]) -> str:
    """Every step of every pair, as CSV with every digit."""
    labels = [*POINT_LABELS, *(f"second_{name}" for name in POINT_LABELS)]
    frames = [
        each.by_step.select(
            *(pl.lit(each.pair.labels[name]).alias(name) for name in labels),
            pl.lit(each.metric).alias("metric"),
            pl.all(),
        )
        for each in contrasts
    ]
    return pl.concat(frames).fill_nan(None).write_csv()
