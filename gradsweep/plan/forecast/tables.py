"""The two tables of a forecast: points (or what they have in common), and models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from gradsweep.models.footprint import amount, weight_kind
from gradsweep.plan.estimate import Basis, capacity_gb
from gradsweep.plan.forecast.records import STATES, Forecast, ModelForecast, PointForecast
from gradsweep.times import duration_text

WIDE = 100
"""Columns of a terminal from which on all columns of a table are shown."""
RUN_COLUMNS = ("steps", "epochs")
"""Columns of training points: how long the whole run is."""
STYLES = {
    "run": "bold",
    "stopped": "yellow",
    "failed": "red",
    "queued": "blue",
    "running": "cyan",
    "done": "green",
}


def points_table(forecast: Forecast, width: int) -> Table:
    """Give each point a line, in the order in which they run; `width` as in `models_table`."""
    fields = [_fields(forecast, point) for point in forecast.points]
    table = _table("point", *forecast.plan.varied, *(["fields"] if any(fields) else []), "state")
    table.columns[0].no_wrap = table.columns[-1].no_wrap = True
    trains, wide = any(point.run for point in forecast.points), width >= WIDE
    _add_numbers(table, *(RUN_COLUMNS if trains else []))
    _add_numbers(table, *(["passes" if trains else "samples", "tokens"] if wide else []), "time")
    for point, others in zip(forecast.points, fields, strict=True):
        state = point.state + (f" {point.job}" if point.job else "")
        left = point.samples > 0
        table.add_row(
            point.planned.point_id,
            *(getattr(point.planned.axes, axis) for axis in forecast.plan.varied),
            *([others] if any(fields) else []),
            Text(state, STYLES[point.state]),
            *(_run(point) if trains else []),
            *((_size(point) if left else ["", ""]) if wide else []),
            _time(point) if left else "",
        )
    return table


def _run(point: PointForecast) -> list[str]:
    """Write the steps and epochs of a whole run: `20`, `1.7`; nothing of points that do not train.

    Of one that has begun, passes, tokens and time are of what is left.
    """
    if point.run is None:
        return ["", ""]
    epochs = point.run.epochs
    return [str(point.run.steps), "" if epochs is None else _epochs(epochs)]


def _epochs(number: float) -> str:
    return f"{number:.2g}"


def _size(point: PointForecast) -> list[str]:
    return [str(point.samples), f"{point.tokens.number:.0f}"]


def _fields(forecast: Forecast, point: PointForecast) -> str:
    """Name what varies besides axes: `seed=1`."""
    label = forecast.plan.label(point.planned)
    return " ".join(part for part in label.split(" · ") if "=" in part)


def conditions_table(forecast: Forecast) -> Table:
    """Count points by state for datasets, levels and objectives; models have their own table."""
    axes = [axis for axis in ("dataset", "cot", "objective") if axis in forecast.plan.varied]
    states = _states(forecast.points)
    table = _table(*axes)
    trains = any(point.run for point in forecast.points)
    _add_numbers(table, "points", *states, *(RUN_COLUMNS if trains else []))
    _add_numbers(table, "tokens each", "time each")
    groups: dict[tuple[str, ...], list[PointForecast]] = {}
    for point in forecast.points:
        values = tuple(getattr(point.planned.axes, axis) for axis in axes)
        groups.setdefault(values, []).append(point)
    for values, points in groups.items():
        table.add_row(
            *values,
            str(len(points)),
            *_counts(points, states),
            *(_runs(points) if trains else []),
            ranged([point.tokens.number for point in points], lambda n: f"{n:.0f}"),
            _times(points),
        )
    return table


def _runs(points: Sequence[PointForecast]) -> list[str]:
    """Write the steps and epochs of several points' runs."""
    runs = [point.run for point in points if point.run]
    epochs = [run.epochs for run in runs if run.epochs is not None]
    return [ranged([run.steps for run in runs], str), ranged(epochs, _epochs)]


def models_table(forecast: Forecast, width: int) -> Table:
    """Show points by state, memory against what a job has, and time with what it rests on.

    Args:
        forecast: of a plan.
        width: of the terminal; below `WIDE` what other lines tell too is left out.
    """
    wide = width >= WIDE
    states = _states(forecast.points) if wide else []
    several_kinds = len(weight_kinds(forecast)) > 1
    in_hours = forecast.counts_hours and "cuda" in forecast.device_hours
    table = _table()
    table.add_column("model", no_wrap=True)
    _add_numbers(table, *(states or ["to run"]), *(["weights"] if wide else []))
    _add_numbers(table, "memory", "time each", "GPU-h" if in_hours else "together")
    if wide:
        table.add_column("rests on", overflow="fold")
    for model in forecast.models:
        starting = [point for point in model.points if point.starts]
        hours = f"{model.device_hours:.1f}" if in_hours else duration_text(model.seconds)
        hours = hours if model.known else "?"
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
    there = {point.state for point in points}
    return [state for state in STATES if state in there]


def _counts(points: Sequence[PointForecast], states: Sequence[str]) -> list[Text]:
    counted = Counter(point.state for point in points)
    return [Text(str(counted[s]) if counted[s] else "·", STYLES[s]) for s in states]


def weight_kinds(forecast: Forecast) -> list[str]:
    return list(dict.fromkeys(weight_kind(model.config.model) for model in forecast.models))


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
    """Name what times rest on; several with how many points each."""
    counted = Counter(point.duration.basis for point in points)
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


def _time(point: PointForecast) -> str:
    return "?" if point.duration.seconds is None else duration_text(point.seconds)


def _times(points: Sequence[PointForecast]) -> str:
    known = [point for point in points if point.duration.seconds is not None and point.samples]
    return ranged([point.seconds for point in known], duration_text)


def ranged(values: Sequence[float], spelled: Callable[..., str]) -> str:
    """`3 min – 2 h 10 min`, or one where both ends read the same."""
    if not values:
        return ""
    return " – ".join(dict.fromkeys([spelled(min(values)), spelled(max(values))]))
