"""The two tables of a forecast: points (or what they have in common), and models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from gradsweep.jobs.settings import SlurmSettings
from gradsweep.models.footprint import amount, weight_kind
from gradsweep.plan.estimate import Basis, capacity_gb
from gradsweep.plan.forecast.records import STATES, Forecast, ModelForecast, PointForecast
from gradsweep.progress import duration_text

WIDE = 100
"""Columns of a terminal from which on all columns of a table are shown."""
STYLES = {
    "run": "bold",
    "stopped": "yellow",
    "failed": "red",
    "queued": "blue",
    "running": "cyan",
    "done": "green",
}


def points_table(found: Forecast, width: int) -> Table:
    """One line each, in the order in which they run; `width` as in `models_table`."""
    fields = [_fields(found, one) for one in found.points]
    table = _table("point", *found.plan.varied, *(["fields"] if any(fields) else []), "state")
    table.columns[0].no_wrap = table.columns[-1].no_wrap = True
    _add_numbers(table, *(["samples", "tokens"] if width >= WIDE else []), "time")
    for one, others in zip(found.points, fields, strict=True):
        state = one.state + (f" {one.job}" if one.job else "")
        left = one.samples > 0
        table.add_row(
            one.point.point_id,
            *(getattr(one.point.axes, axis) for axis in found.plan.varied),
            *([others] if any(fields) else []),
            Text(state, STYLES[one.state]),
            *((_size(one) if left else ["", ""]) if width >= WIDE else []),
            _time(one) if left else "",
        )
    return table


def _size(one: PointForecast) -> list[str]:
    return [str(one.samples), f"{one.tokens.number:.0f}"]


def _fields(found: Forecast, one: PointForecast) -> str:
    """What varies besides axes: `seed=1`."""
    label = found.plan.label(one.point)
    return " ".join(part for part in label.split(" · ") if "=" in part)


def conditions_table(found: Forecast) -> Table:
    """Datasets and levels with their points counted by state; models have their own table."""
    axes = [axis for axis in ("dataset", "cot") if axis in found.plan.varied]
    states = _states(found.points)
    table = _table(*axes)
    _add_numbers(table, "points", *states, "tokens each", "time each")
    groups: dict[tuple[str, ...], list[PointForecast]] = {}
    for one in found.points:
        values = tuple(getattr(one.point.axes, axis) for axis in axes)
        groups.setdefault(values, []).append(one)
    for values, points in groups.items():
        table.add_row(
            *values,
            str(len(points)),
            *_counts(points, states),
            ranged([one.tokens.number for one in points], lambda n: f"{n:.0f}"),
            _times(points),
        )
    return table


def models_table(found: Forecast, width: int) -> Table:
    """Points by state, memory against what a job has, and time with what it rests on.

    Args:
        found: the forecast.
        width: of the terminal; below `WIDE` what other lines tell too is left out.
    """
    wide = width >= WIDE
    states = _states(found.points) if wide else []
    several_kinds = len(weight_kinds(found)) > 1
    in_hours = isinstance(found.settings, SlurmSettings) and "cuda" in found.device_hours
    table = _table()
    table.add_column("model", no_wrap=True)
    _add_numbers(table, *(states or ["to run"]), *(["weights"] if wide else []))
    _add_numbers(table, "memory", "time each", "GPU-h" if in_hours else "together")
    if wide:
        table.add_column("rests on", overflow="fold")
    for model in found.models:
        starting = [one for one in model.points if one.starts]
        hours = f"{model.device_hours:.1f}" if in_hours else duration_text(model.seconds)
        table.add_row(
            model.config.model.name,
            *(_counts(model.points, states) if wide else [str(len(starting))]),
            *([_weights(model, named=several_kinds)] if wide else []),
            _memory(model),
            _times(starting),
            hours if starting else "",
            *([_bases(starting)] if wide else []),
        )
    return table


def _states(points: Iterable[PointForecast]) -> list[str]:
    there = {one.state for one in points}
    return [state for state in STATES if state in there]


def _counts(points: Sequence[PointForecast], states: Sequence[str]) -> list[Text]:
    counted = Counter(one.state for one in points)
    return [Text(str(counted[s]) if counted[s] else "·", STYLES[s]) for s in states]


def weight_kinds(found: Forecast) -> list[str]:
    return list(dict.fromkeys(weight_kind(model.config.model) for model in found.models))


def _weights(model: ModelForecast, named: bool) -> str:
    if model.memory is None:
        return "unknown"
    kind = f" {weight_kind(model.config.model)}" if named else ""
    return amount(model.memory.weights) + kind


def _memory(model: ModelForecast) -> Text:
    """`51.2/80 GB ✓`; `~` where only the longest samples may not fit."""
    if model.memory is None:
        return Text("unknown")
    have = capacity_gb(model.config.model, model.hardware)
    if have is None:
        return Text(amount(model.memory.total))
    mark, style = ("✗", "red") if model.misfit else ("✓", "green")
    if model.tight:
        mark, style = "~", "yellow"
    return Text.assemble(f"{model.memory.total:.1f}/{have:.0f} GB ", (mark, style))


def _bases(points: Sequence[PointForecast]) -> str:
    """Several with how many points each."""
    counted = Counter(one.duration.basis for one in points)
    if len(counted) == 1:
        return next(iter(counted)).value
    return ", ".join(f"{counted[basis]} {basis.value}" for basis in Basis if counted[basis])


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _add_numbers(table: Table, *names: str) -> None:
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)


def _time(one: PointForecast) -> str:
    return "?" if one.duration.seconds is None else duration_text(one.seconds)


def _times(points: Sequence[PointForecast]) -> str:
    known = [one for one in points if one.duration.seconds is not None and one.samples]
    return ranged([one.seconds for one in known], duration_text)


def ranged(values: Sequence[float], spelled: Callable[..., str]) -> str:
    """`3 min – 2 h 10 min`, or one where both ends read the same."""
    if not values:
        return ""
    return " – ".join(dict.fromkeys([spelled(min(values)), spelled(max(values))]))
