"""The status as a person reads it: a table of points, why some need attention, and totals."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from gradsweep.jobs.status.efficiency import efficiency_text
from gradsweep.jobs.status.lines import Line, State, SweepStatus, total_text
from gradsweep.progress import output_console, rate_text
from gradsweep.records import AXES, axis_words
from gradsweep.times import duration_text

STYLES = {
    State.RUNNING: "cyan",
    State.FAILED: "bold red",
    State.LOST: "bold red",
    State.STOPPED: "yellow",
    State.SUBMITTED: "blue",
    State.QUEUED: "blue",
    State.NEW: "dim",
    State.DONE: "green",
}
ATTENTION = (State.RUNNING, State.FAILED, State.LOST, State.STOPPED)
"""States whose points are shown one by one even when there are hundreds of others."""
MANY = 40
"""Number of points beyond which they are condensed, unless all are asked for."""
NOTES = 12
"""Different reasons shown."""
FEW_NOTES = 3
"""Different reasons shown in a small terminal."""
_DROPPED_FIRST = ("starts", "node", "rate", "job", "left")
"""Columns that a narrow terminal does without, in this order."""


def status_table(
    status: SweepStatus, console: Console, rows: int | None = MANY, *, compact: bool = False
) -> RenderableType:
    """Lay out everything that `status` shows.

    Args:
        status: of these points.
        console: to whose width columns are chosen.
        rows: points at most; more are condensed. None shows all.
        compact: without the summary by group, and with the first reasons only.
    """
    condensed = rows is not None and len(status.lines) > rows
    lines = _attention(status, rows or 0) if condensed else list(status.lines)
    names = short_names(status)
    parts: list[RenderableType] = [*_constants(status)]
    if condensed and not compact:
        parts.append(_groups(status))
    if lines:
        parts.append(_fitting(lines, names, _varying(status), console))
    if condensed:
        parts += _left_out(status, lines)
    parts += _notes(status.lines, names, FEW_NOTES if compact else NOTES)
    parts += _totals(status)
    return Group(*parts)


def fitting_table(status: SweepStatus, console: Console) -> RenderableType:
    """`status_table` with no more lines than the terminal has, whose totals are never cut off."""
    for compact in (False, True):
        rows = None if len(status.lines) < console.height else console.height
        while True:
            table = status_table(status, console, rows, compact=compact)
            excess = len(console.render_lines(table)) - (console.height - 1)
            if excess <= 0:
                return table
            if rows == 1:
                break
            rows = max(1, (rows or len(status.lines)) - excess)
    return table


def short_names(status: SweepStatus) -> dict[str, str]:
    """Return point_id -> its beginning that no other of these points has."""
    ids = [line.point_id for line in status.lines]
    length = 8
    while len({name[:length] for name in ids}) < len(ids):
        length += 1
    return {name: name[:length] for name in ids}


def wide_console() -> Console:
    """Make a console for stdout; in a file or a pipe a line is as long as it needs to be."""
    console = output_console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 400
    return console


def _varying(status: SweepStatus) -> list[str]:
    values = {axis: {line.point.labels[axis] for line in status.lines} for axis in AXES}
    return [axis for axis in AXES if len(values[axis]) > 1]


def _first_axis(status: SweepStatus) -> str:
    return next(iter(_varying(status)), AXES[0])


def _constants(status: SweepStatus) -> Iterator[Text]:
    """Say once what all points share."""
    axes = status.lines[0].point.labels
    constant = axis_words({axis: axes[axis] for axis in AXES if axis not in _varying(status)})
    if constant:
        yield Text(" · ".join(constant), style="bold")


def _attention(status: SweepStatus, rows: int) -> list[Line]:
    """Pick the points that a person looks for, `rows` in all and some of every state."""
    by_state = [status.of(state) for state in ATTENTION]
    share = {id(lines): 0 for lines in by_state}
    for _ in range(rows):
        open_states = [lines for lines in by_state if share[id(lines)] < len(lines)]
        if open_states:
            share[id(min(open_states, key=lambda lines: share[id(lines)]))] += 1
    return [line for lines in by_state for line in islice(lines, share[id(lines)])]


def _left_out(status: SweepStatus, shown: Sequence[Line]) -> Iterator[Text]:
    there = {state: sum(line.state is state for line in shown) for state in ATTENTION}
    more = [
        f"{len(status.of(state)) - n} more {state.value}"
        for state, n in there.items()
        if len(status.of(state)) > n
    ]
    if more:
        yield Text(f"… and {', '.join(more)}; --all shows every point", style="dim")


def _new_table() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")


def _groups(status: SweepStatus) -> Table:
    """A line for each value of the first axis that varies, a column for each state."""
    axis = _first_axis(status)
    table = _new_table()
    table.add_column(axis, overflow="fold")
    for state in status.counts:
        table.add_column(Text(state.value, style=STYLES[state]), justify="right")
    table.add_column("samples", justify="right")
    groups: dict[str, list[Line]] = {}
    for line in status.lines:
        groups.setdefault(line.point.labels[axis], []).append(line)
    for value, lines in groups.items():
        counts = [sum(line.state is state for line in lines) for state in status.counts]
        table.add_row(value, *(str(n) if n else "" for n in counts), total_text(lines))
    return table


def _fitting(
    lines: Sequence[Line], names: dict[str, str], axes: Sequence[str], console: Console
) -> Table:
    """The points, without the columns for which there is no room."""
    columns = _columns(lines, names, axes)
    table = _filled(columns)
    for name in _DROPPED_FIRST:
        if console.measure(table, options=console.options.update(max_width=10_000)).maximum <= (
            console.width
        ):
            break
        columns.pop(name, None)
        table = _filled(columns)
    return table


def _columns(
    lines: Sequence[Line], names: dict[str, str], axes: Sequence[str]
) -> dict[str, list[Text]]:
    """Name -> cells; without those that would be empty."""
    columns = {"point": [Text(names[line.point_id]) for line in lines]}
    for axis in axes:
        columns[axis] = [Text(line.point.labels[axis]) for line in lines]
    columns["state"] = [Text(line.state.value, style=STYLES[line.state]) for line in lines]
    optional = {
        "samples": _samples,
        "rate": lambda line: rate_text(line.rate) if line.rate else "",
        "left": lambda line: "" if line.left_seconds is None else duration_text(line.left_seconds),
        "job": _job,
        "node": _node,
        "starts": _starts,
    }
    for name, cell in optional.items():
        texts = [cell(line) for line in lines]
        if any(texts):
            columns[name] = [Text(text) for text in texts]
    return columns


def _filled(columns: dict[str, list[Text]]) -> Table:
    table = _new_table()
    for name in columns:
        right = name in ("samples", "rate", "left", "starts")
        table.add_column(name, justify="right" if right else "left", overflow="fold",
                         no_wrap=name in ("point", "state", "samples"))  # fmt: skip
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def _samples(line: Line) -> str:
    bad = f" ({line.n_bad} bad)" if line.n_bad else ""
    if line.state is State.DONE:
        return f"{line.n_stored}{bad}"
    if not line.n_stored and line.state in (State.QUEUED, State.SUBMITTED, State.NEW):
        return f"≤{line.total}" if line.total is not None else ""
    return f"{line.n_stored}/≤{'?' if line.total is None else line.total}{bad}"


def _job(line: Line) -> str:
    if len(line.tasks) > 1:
        return f"{len(line.tasks)} jobs"
    return line.tasks[0].job_id if line.tasks else ""


def _node(line: Line) -> str:
    return ", ".join(dict.fromkeys(task.last.node for task in line.tasks if task.last))


def _starts(line: Line) -> str:
    """Count starts, only where a job was started again, which is what a reader looks for."""
    starts = sum(len(task.runs) for task in line.tasks)
    return str(starts) if starts > len(line.tasks) else ""


def _notes(lines: Sequence[Line], names: dict[str, str], most: int) -> Iterator[RenderableType]:
    """Give each reason once, in one line, with the points that have it."""
    reasons: dict[tuple[State, str], list[str]] = {}
    for line in lines:
        if line.note:
            reasons.setdefault((line.state, line.note), []).append(names[line.point_id])
    if not reasons:
        return
    in_order = sorted(reasons.items(), key=lambda item: list(State).index(item[0][0]))
    for (state, note), points in islice(in_order, most):
        who = points[0] if len(points) == 1 else f"{len(points)} points"
        kind = Text(f"{state.value:<9}", style=STYLES[state])
        yield Text.assemble(kind, f"  {who:<10}  {note}", no_wrap=True, overflow="ellipsis")
    if len(reasons) > most:
        yield Text(f"… and {len(reasons) - most} other reasons", style="dim")
    yield Text("")


def _totals(status: SweepStatus) -> Iterator[RenderableType]:
    table = Table.grid(padding=(0, 2, 0, 0))
    counts = [Text(f"{n} {state.value}", style=STYLES[state]) for state, n in
              status.counts.items()]  # fmt: skip
    table.add_row("points", Text(", ").join(counts))
    left = status.left_seconds
    soon = f", about {duration_text(left)} left at {rate_text(status.rate)}" if left else ""
    table.add_row("samples", total_text(status.lines) + soon)
    if status.efficiency:
        table.add_row("jobs", efficiency_text(status.efficiency))
    yield table
    if status.complaint:
        yield Text(
            f"{status.complaint}: states are from the files; a waiting job shows as submitted",
            style="yellow",
        )
