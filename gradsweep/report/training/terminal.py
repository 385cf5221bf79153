"""Runs as a short table for the terminal: where losses and norms began, and where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from gradsweep.analysis.rows import CORRECT
from gradsweep.report.findings import verdict_lines
from gradsweep.report.labels import metric_label
from gradsweep.report.numerals import MISSING
from gradsweep.report.training.section import TITLE
from gradsweep.report.training.study import (
    GAP,
    HELD_OUT,
    LOSS,
    PROBE,
    UPDATE,
    Run,
    TrainingStudy,
    group_title,
)

MOST_RUNS = 24
"""More are in the files alone."""


def training_table(study: TrainingStudy) -> Group:
    """Draw a table for each model and dataset, for `rich.console.Console().print`."""
    legend = f"{metric_label(study.metric)}, mean over layers and projections · first → last"
    parts: list[Text | Table] = [Text(), Text(TITLE, style="bold"), Text(legend, style="dim")]
    left = MOST_RUNS
    for group, runs in study.groups.items():
        if left > 0:
            parts += [Text(group_title(group), overflow="fold"), _table(study, runs[:left])]
        left -= len(runs)
    if left < 0:
        parts.append(Text(f"and {-left} more runs: tables/training__runs has them all"))
    parts += [Text(line) for line in verdict_lines(study.findings)]
    return Group(*parts)


def _table(study: TrainingStudy, runs: Sequence[Run]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("point", no_wrap=True)
    table.add_column("learns\nfrom", overflow="fold")
    for heading in (
        "seed",
        "steps",
        "loss",
        "held\nout",
        "update",
        "own\nprobe",
        "none /\ndetailed",
    ):
        table.add_column(heading, justify="right", overflow="fold")
    for run in runs:
        table.add_row(*_cells(study, run))
    return table


def _cells(study: TrainingStudy, run: Run) -> list[str]:
    def moved(quantity: str, *chosen: pl.Expr) -> str:
        line = study.of(run, quantity).filter(*chosen).sort("step")
        return _first_to_last(line["value"].to_list())

    own = (pl.col("probe_cot") == run.cot, pl.col("probe_correctness") == run.correctness)
    steps = study.by_step.filter(point_id=run.point_id)["step"].unique().sort().to_list()
    kind = "" if run.correctness == CORRECT else f" {run.correctness}"
    return [
        run.point_id[:8], run.cot + kind, _seeds(run), str(steps[-1]) if steps else "0",
        moved(LOSS), moved(HELD_OUT), moved(UPDATE), moved(PROBE, *own),
        moved(GAP, pl.col("probe_correctness") == CORRECT),
    ]  # fmt: skip


def _seeds(run: Run) -> str:
    """`1` for seed=1; empty where seeds tell nothing apart."""
    return " ".join(part.partition("=")[2] for part in run.seeds.split())


def _first_to_last(values: Sequence[float]) -> str:
    """Write `4.2→2.1` of the first and the last value that there is; a dash without any."""
    known = [value for value in values if math.isfinite(value)]
    ends = dict.fromkeys([0, len(known) - 1])
    return "→".join(f"{known[place]:.2g}" for place in ends) if known else MISSING
