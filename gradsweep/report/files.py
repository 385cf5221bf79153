"""A whole report as files: tables, figures, findings, and a page with all of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import polars as pl

from gradsweep.analysis import test_claims
from gradsweep.report.figures.files import drawings, save_all_figures
from gradsweep.report.findings import findings_markdown
from gradsweep.report.measures import measures
from gradsweep.report.page import StoredPoints, write_page
from gradsweep.report.tables import save_tables
from gradsweep.store.atomic import write_text

Track = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""A step's words and size -> a context with the function to call after each part of it."""

TABLE_METRIC = "sigma_ratio"
"""The paper's tables have it beside the nuclear norm."""

_FEW_FIGURES = 12
"""Drawn sooner here than other processes start."""
_MOST_PROCESSES = 8


def write_report(
    rows: pl.DataFrame,
    folder: Path,
    metrics: Sequence[str] = ("nuclear_norm",),
    *,
    track: Track | None = None,
    processes: int | None = None,
    stored: StoredPoints | None = None,
) -> list[Path]:
    """Writes `findings.md`, `tables/` and `figures/` into `folder`, and gives their paths.

    With `stored`, what the files say of these points beyond their rows, also `index.html`.
    Figures are of `metrics`, tables of these and σ₁/Σσ, findings of the first one. Older files
    of the same names are replaced, others stay. Figures are drawn in `processes`, by default
    one for each core when there are many; more than one takes a main module that can be
    imported.
    Raises `ConfigError` for a metric that the rows do not have or when two points share all
    four axes, `StoreError` when a file cannot be written.
    """
    track = track or (lambda words, size: nullcontext(lambda: None))
    in_tables = [*metrics, *({TABLE_METRIC} & set(rows.columns) - set(metrics))]
    computed = []
    with track("numbers", len(in_tables) + 1) as advance:
        for metric in in_tables:
            computed.append(measures(rows, metric))
            advance()
        findings = findings_markdown(test_claims(rows, metrics[0]))
        advance()
    written = [folder / "findings.md"]
    write_text(written[0], findings)
    with track("tables", len(computed)) as advance:
        written += save_tables(computed, folder / "tables", advance)
    if stored is not None:
        with track("page", 1) as advance:
            written.append(write_page(folder, rows, computed, findings, stored))
            advance()
    found = drawings(computed[: len(metrics)])
    processes = processes or _processes(len(found))
    with track("figures", len(found)) as advance:
        written += save_all_figures(found, folder / "figures", advance, processes)
    return written


def _processes(n_figures: int) -> int:
    if n_figures <= _FEW_FIGURES:
        return 1
    # A job on a cluster may have fewer cores than its machine; macOS does not say.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, _MOST_PROCESSES)
