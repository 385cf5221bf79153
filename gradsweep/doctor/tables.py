"""What `verify` compared, in a terminal: one table for each of its two verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from gradsweep.doctor.agreement import ADDED, Distance, RowError, most_added
from gradsweep.doctor.comparison import Agreement


def agreement_tables(agreement: Agreement) -> Iterator[Table]:
    """Draw (a) the worst number by metric, (b) the worst gradient by projection."""
    yield _added_table(agreement)
    yield _distance_table(agreement)


def _added_table(agreement: Agreement) -> Table:
    title = f"{agreement.dtype.name}: rows beside a float64 SVD of their own factors"
    table = _table(title, "metric", "worst error", "at most", "projection", "layer", "sample")
    for worst in _worst_rows(agreement.rows):
        numbers = (f"{worst.error:.1e}", f"{most_added(worst.metric):.0e}")
        place = (worst.projection, str(worst.layer), str(worst.sample))
        table.add_row(worst.metric, *numbers, *place, style=None if worst.holds else "bold red")
    return table


def _distance_table(agreement: Agreement) -> Table:
    table = _table(
        f"{agreement.dtype.name}: distance of loss and gradients from {truth_name(agreement)}",
        *("of", "gradsweep", "autograd", "at most"),
        *("Σσ: gradsweep", "Σσ: autograd", "layer", "sample"),
    )
    for worst in _worst_distances(agreement.distances):
        numbers = (worst.engine, worst.autograd, worst.allowed, *(worst.nuclear or (None, None)))
        table.add_row(
            worst.projection,
            *("" if number is None else f"{number:.1e}" for number in numbers),
            str(worst.layer) if worst.nuclear else "",
            str(worst.sample),
            style=None if worst.holds else "bold red",
        )
    return table


def truth_name(agreement: Agreement) -> str:
    """Name what the engine was compared with: "autograd in float64", where memory allows."""
    return f"autograd in {agreement.truth or agreement.dtype.name}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="")
    for column in columns:
        table.add_column(column)
    return table


def _worst_rows(rows: Sequence[RowError]) -> list[RowError]:
    """The worst of each metric, in reading order; the user's own last."""
    order = [*ADDED, *sorted({row.metric for row in rows})]
    worst: dict[str, RowError] = {}
    for row in sorted(rows, key=lambda row: order.index(row.metric)):
        if row.metric not in worst or row.error > worst[row.metric].error:
            worst[row.metric] = row
    return list(worst.values())


def _worst_distances(distances: Sequence[Distance]) -> list[Distance]:
    """Of each projection, and of the loss, the one nearest to what is allowed, or beyond."""
    worst: dict[str, Distance] = {}
    for one in distances:
        known = worst.get(one.projection)
        if known is None or _share(one) > _share(known):
            worst[one.projection] = one
    return list(worst.values())


def _share(distance: Distance) -> float:
    return distance.engine / distance.allowed if distance.allowed else distance.engine
