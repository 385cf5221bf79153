"""A forecast in front of a person: the grid, its models, its jobs and what it all comes to."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradsweep.config import SourceKind
from gradsweep.errors import counted
from gradsweep.models.footprint import amount
from gradsweep.plan.estimate import Basis, longest_batch
from gradsweep.plan.estimate.gathering import gathering_gb, gathering_seconds, ranks_of
from gradsweep.plan.estimate.hardware import ASSUMED_GPU, UTILISATION, known_gpu
from gradsweep.plan.forecast.records import Forecast, PointForecast
from gradsweep.plan.forecast.tables import (
    conditions_table,
    models_table,
    points_table,
    ranged,
    weight_kinds,
)
from gradsweep.plan.grouping import Array
from gradsweep.plan.scheduling import JobPlanner
from gradsweep.records import AXES, STUDY_OBJECTIVE
from gradsweep.times import duration_text

MOST_POINTS = 40
"""More of them are counted by dataset and cot, unless all are asked for."""
_MEANING = {
    Basis.CONDITION: "measured: points of the same model, dataset and cot",
    Basis.MODEL: "by tokens: measured time per token of the same model",
    Basis.UNKNOWN: "unknown: not measured yet, and model.parameters is not given",
}


def show_forecast(forecast: Forecast, console: Console, every_point: bool = False) -> None:
    """Print it all; the line that counts comes last."""
    _show_lines(console, _head(forecast))
    console.print()
    if every_point or len(forecast.points) <= MOST_POINTS:
        console.print(points_table(forecast, console.width))
    else:
        console.print(conditions_table(forecast))
        console.print("every point: the same command with --all", style="dim")
    console.print()
    for note in forecast.plan.notes:
        console.print(note, soft_wrap=True)
    if forecast.plan.notes:
        console.print()
    if forecast.plan.excluded:
        console.print("left out", style="bold")
        for reason in forecast.plan.excluded:
            console.print(f"  {reason}", soft_wrap=True)
        console.print()
    console.print(models_table(forecast, console.width))
    _show_needs(forecast, console)
    for line in _bases(forecast):
        console.print(line, style="dim", soft_wrap=True)
    console.print()
    if forecast.scheduler:
        for array in forecast.arrays:
            console.print(_array_block(forecast, forecast.scheduler, array))
            console.print()
    _show_lines(console, _totals(forecast))
    console.print(forecast.plan.counted, style="bold", soft_wrap=True)


def _show_lines(console: Console, lines: dict[str, str]) -> None:
    for name, text in lines.items():
        console.print(Text.assemble((f"{name:<12}", "dim"), text), soft_wrap=True)


def _head(forecast: Forecast) -> dict[str, str]:
    first = forecast.plan.points[0].axes
    fixed = {
        axis: getattr(first, axis)
        for axis in AXES
        if axis not in forecast.plan.varied
        and (axis != "objective" or first.objective != STUDY_OBJECTIVE)
    }
    return {"sweep": forecast.plan.name, "results": forecast.plan.results} | fixed


# --- below the models


def _show_needs(forecast: Forecast, console: Console) -> None:
    """Say what a person has to do before these models can run."""
    sources = [model.config.model.source for model in forecast.models]
    gated = [str(s.hub_id) for s in sources if s.gated and s.kind is SourceKind.hub]
    if gated:
        names = ", ".join(dict.fromkeys(gated))
        gate = f"gated: accept the terms on the hub and set HF_TOKEN: {names}"
        console.print(gate, soft_wrap=True)
    for model in forecast.models:
        if model.misfit:
            console.print(Text(f"too large: {model.misfit.problem}", "red"), soft_wrap=True)
            for way in model.misfit.ways:
                console.print(f"  would fit: {way}", soft_wrap=True)
        if model.tight:
            tight = f"tight: {model.config.model.name}'s longest samples may run out of memory (~)"
            console.print(Text(tight, "yellow"), soft_wrap=True)
        host = model.hardware.host_gb
        if host and model.n_loads and model.read_gb > host:
            host_memory = (
                f"host memory: {model.config.model.name}'s {amount(model.read_gb)} of weights are "
                f"read into a job's {host:g} GB (hydra.launcher.mem_gb) before the GPU has them"
            )
            console.print(Text(host_memory, "yellow"), soft_wrap=True)


def _bases(forecast: Forecast) -> list[str]:
    """Tell what the estimates rest on and take for granted."""
    if not forecast.starting:
        return []
    lines = []
    for basis in forecast.bases:
        of_basis = [point for point in forecast.starting if point.duration.basis is basis]
        devices = sorted({point.duration.device for point in of_basis if point.duration.device})
        on = f", on {', '.join(devices)}" if devices else ""
        lines.append(_MEANING.get(basis, _flop_model(of_basis[0])) + on)
    tokens = dict.fromkeys(point.tokens.basis for point in forecast.starting)
    lines.append(f"tokens: {', '.join(tokens)}")
    lengths = {longest_batch(model.config) for model in forecast.models}
    batch = " or ".join(map(str, sorted(lengths)))
    weights = " or ".join(weight_kinds(forecast))
    return [*lines, f"memory: weights in {weights}, and all that a batch of {batch} tokens takes"]


def _flop_model(point: PointForecast) -> str:
    have = point.hardware
    if have.kind == "cpu":
        on = f"{have.cores or 1} CPU cores"
    else:
        gpu = known_gpu(have.name) or f"{ASSUMED_GPU}, as hydra.launcher.gpu names no other"
        on = f"{UTILISATION:.0%} of the peak of one {gpu}"
    passes = 6 if point.planned.config.gradients.checkpointing else 4
    found = f"FLOP model: {passes} FLOP per parameter and token, and the spectra, at {on}"
    config = point.planned.config
    if ranks_of(config, have) == 1:
        return found
    of_pass, tokens = gathering_seconds(config, have), config.gradients.batch_tokens
    return (
        f"{found}; a pass of {tokens} tokens (gradients.batch_tokens) takes {of_pass:.2g} s or "
        f"more: {have.ranks} processes gather its weights at {gathering_gb(have):.2g} GB/s"
    )


# --- jobs and totals


def _array_block(forecast: Forecast, scheduler: JobPlanner, array: Array) -> Table:
    """Tell how many jobs there are of what, and how they are asked for."""
    block = Table.grid(padding=(0, 2))
    block.add_column(style="dim", no_wrap=True)
    block.add_column(overflow="fold")
    block.add_row(scheduler.array_name(array), _size(forecast, array))
    owner = {p.planned.point_id: p.planned.axes.model for p in forecast.starting}
    models = dict.fromkeys(owner[i] for task in array.tasks for i in task.point_ids)
    block.add_row("models", ", ".join(models))
    for option, text in scheduler.options(array).items():
        block.add_row(option, text)
    limit = scheduler.time_limit(array)
    if limit is not None and max(forecast.job_seconds[array.number]) > limit:
        then = "go back into the queue" if scheduler.requeues else "end, and the command again goes"
        late = f"jobs longer than {duration_text(limit)} {then} and on from there"
        block.add_row("time limit", Text(late, "yellow"))
    return block


def _size(forecast: Forecast, array: Array) -> str:
    seconds = forecast.job_seconds[array.number]
    after = f", after array {array.after}" if array.after is not None else ""
    points = ranged([len(task.point_ids) for task in array.tasks], str)
    points += " point" if points == "1" else " points"
    shares = ranged([task.shard.count for task in array.tasks], str)
    points = points if shares == "1" else f"1/{shares} of {points}"
    jobs = counted(len(array.tasks), "job")
    return (
        f"{jobs} of {points}, {min(array.throttle, len(array.tasks))} at a time{after}; "
        f"{ranged(seconds, duration_text)} each"
    )


def _totals(forecast: Forecast) -> dict[str, str]:
    if not forecast.starting:
        return {}
    lines = {"jobs": _how(forecast)}
    if forecast.counts_hours:
        for kind, hours in forecast.device_hours.items():
            name = "GPU-hours" if kind == "cuda" else "core-hours"
            lines[name] = _counted(forecast, f"about {hours:.1f}")
    waiting = ", not counting the queue" if forecast.counts_hours else ""
    clock = _counted(forecast, f"about {duration_text(forecast.wall_seconds)}{waiting}")
    lines["wall clock"] = clock
    lines["disk"] = _counted(forecast, f"about {_bytes(forecast.disk_bytes)}")
    return lines


def _counted(forecast: Forecast, text: str) -> str:
    """An estimate, as far as the sizes of the models are known: loading alone is no estimate."""
    unknown = forecast.bases.get(Basis.UNKNOWN, 0)
    if unknown == len(forecast.starting):
        return "unknown: so is the model's size (model.parameters=7_000_000_000 gives it)"
    missing = f", and {counted(unknown, 'point')} whose model's size is unknown"
    return f"at least {text}{missing}" if unknown else text


def _how(forecast: Forecast) -> str:
    if forecast.scheduler is None:
        return "none: one point after the other in this process (see hydra/launcher=slurm, local)"
    return "; ".join(filter(None, (forecast.scheduler.summary(forecast.arrays), forecast.caveat)))


def _bytes(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{max(number, 1e5) / 1e6:.1f} MB"
