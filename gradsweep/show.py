"""Stored results in front of a person: tables in the terminal, figures beside the results."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from rich.console import Console

from gradsweep.report import comparison_table, save_figures
from gradsweep.store import SweepPaths, load_rows


def show_results(
    results: Path,
    point_ids: Collection[str] | None,
    name: str,
    metric: str = "nuclear_norm",
) -> None:
    """Print the comparison of these points (all when None) and where its figures are.

    Raises:
        DataError: nothing is stored there.
        StoreError: the figures cannot be written.
    """
    rows = load_rows(results, point_ids)
    flagged = len(rows) - int(rows["finite"].sum())
    out = Console(highlight=False, markup=False)
    out.print()
    out.print(comparison_table(rows, metric))
    if flagged:
        out.print(f"{flagged} rows failed their checksum and are left out of these numbers.")
    for path in save_figures(rows, SweepPaths(results, name).report, metric):
        out.print(f"figure   {path}", soft_wrap=True)
    out.print(f"results  {results}/points ({rows['point_id'].n_unique()} points)", soft_wrap=True)
