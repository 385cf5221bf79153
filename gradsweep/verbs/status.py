"""`status`: the state of every point."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console


def run(args: Sequence[str]) -> int:
    """The state of every point in a results folder, from its files alone."""
    from gradsweep.store.status import point_statuses

    parser = _parser()
    results = parser.parse_args(args).results
    console = Console(highlight=False, markup=False)
    statuses = point_statuses(results)
    width = max(len(status.axes) for status in statuses)
    for status in statuses:
        bad = f", {status.n_bad} not measured" if status.n_bad else ""
        line = f"{status.point_id}  {status.axes:<{width}}  {status.state.value:<7}  "
        line += f"{status.n_stored} samples{bad}  {status.note}"
        console.print(line.rstrip(), soft_wrap=True)
    counts = Counter(status.state.value for status in statuses)
    console.print(", ".join(f"{n} {state}" for state, n in counts.items()), style="bold")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m gradsweep status", description=run.__doc__)
    parser.add_argument(
        "results",
        nargs="?",
        type=Path,
        default=Path("results"),
        help="the results folder, store.root (default: results)",
    )
    return parser
