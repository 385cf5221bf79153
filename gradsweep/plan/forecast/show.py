"""A forecast in front of a person: the grid, its models, its jobs and what it all comes to."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradsweep.config import SourceKind
from gradsweep.jobs.records import Array
from gradsweep.jobs.settings import LocalSettings, SlurmSettings
from gradsweep.models.footprint import amount
from gradsweep.plan.estimate import Basis, longest_batch
from gradsweep.plan.estimate.hardware import ASSUMED_GPU, UTILISATION, known_gpu
from gradsweep.plan.forecast.records import Forecast, PointForecast
from gradsweep.plan.forecast.tables import (
    conditions_table,
    models_table,
    points_table,
    ranged,
    weight_kinds,
)
from gradsweep.progress import duration_text
from gradsweep.records import AXES

MOST_POINTS = 40
"""More of them are counted by dataset and cot, unless all are asked for."""
_OPTIONS = {"timeout_min": "time", "mem_gb": "mem", "tasks_per_node": "ntasks-per-node"}
_MEANING = {
    Basis.CONDITION: "measured: points of the same model, dataset and cot",
    Basis.MODEL: "by tokens: measured time per token of the same model",
    Basis.UNKNOWN: "unknown: not measured yet, and model.parameters is not given",
}


def show_forecast(found: Forecast, console: Console, every_point: bool = False) -> None:
    """Print it all; the line that counts comes last."""
    _show_lines(console, _head(found))
    console.print()
    if every_point or len(found.points) <= MOST_POINTS:
        console.print(points_table(found, console.width))
    else:
        console.print(conditions_table(found))
        console.print("every point: the same command with --all", style="dim")
    console.print()
    if found.plan.excluded:
        console.print("left out", style="bold")
        for reason in found.plan.excluded:
            console.print(f"  {reason}", soft_wrap=True)
        console.print()
    console.print(models_table(found, console.width))
    _show_needs(found, console)
    for line in _bases(found):
        console.print(line, style="dim", soft_wrap=True)
    console.print()
    for array in found.arrays:
        console.print(_array_block(found, array))
        console.print()
    _show_lines(console, _totals(found))
    console.print(found.plan.counted, style="bold", soft_wrap=True)


def _show_lines(console: Console, lines: dict[str, str]) -> None:
    for name, text in lines.items():
        console.print(Text.assemble((f"{name:<12}", "dim"), text), soft_wrap=True)


def _head(found: Forecast) -> dict[str, str]:
    axes = {axis: getattr(found.plan.points[0].axes, axis) for axis in AXES}
    fixed = {axis: value for axis, value in axes.items() if axis not in found.plan.varied}
    return {"sweep": found.plan.name, "results": found.plan.results} | fixed


# --- below the models


def _show_needs(found: Forecast, console: Console) -> None:
    """What a person has to do before these models can run."""
    sources = [model.config.model.source for model in found.models]
    gated = [str(s.hub_id) for s in sources if s.gated and s.kind is SourceKind.hub]
    if gated:
        names = ", ".join(dict.fromkeys(gated))
        said = f"gated: accept the terms on the hub and set HF_TOKEN: {names}"
        console.print(said, soft_wrap=True)
    for model in found.models:
        if model.misfit:
            console.print(Text(f"too large: {model.misfit.problem}", "red"), soft_wrap=True)
            for way in model.misfit.ways:
                console.print(f"  would fit: {way}", soft_wrap=True)
        if model.tight:
            tight = f"tight: {model.config.model.name}'s longest samples may run out of memory (~)"
            console.print(Text(tight, "yellow"), soft_wrap=True)
        host, memory = model.hardware.host_gb, model.memory
        if host and memory and model.n_loads and memory.weights > host:
            said = (
                f"host memory: {model.config.model.name}'s {amount(memory.weights)} of weights are "
                f"read into a job's {host:g} GB (hydra.launcher.mem_gb) before the GPU has them"
            )
            console.print(Text(said, "yellow"), soft_wrap=True)


def _bases(found: Forecast) -> list[str]:
    """What the estimates rest on and take for granted."""
    if not found.starting:
        return []
    lines = []
    for basis in found.bases:
        of_basis = [one for one in found.starting if one.duration.basis is basis]
        devices = sorted({one.duration.device for one in of_basis if one.duration.device})
        on = f", on {', '.join(devices)}" if devices else ""
        lines.append(_MEANING.get(basis, _flop_model(of_basis[0])) + on)
    tokens = dict.fromkeys(one.tokens.basis for one in found.starting)
    lines.append(f"tokens: {', '.join(tokens)}")
    lengths = {longest_batch(model.config) for model in found.models}
    batch = " or ".join(map(str, sorted(lengths)))
    weights = " or ".join(weight_kinds(found))
    return [*lines, f"memory: weights in {weights}, and all that a batch of {batch} tokens takes"]


def _flop_model(one: PointForecast) -> str:
    have = one.hardware
    if have.kind == "cpu":
        on = f"{have.cores or 1} CPU cores"
    else:
        gpu = known_gpu(have.name) or f"{ASSUMED_GPU}, as hydra.launcher.gpu names no other"
        on = f"{UTILISATION:.0%} of the peak of one {gpu}"
    passes = 6 if one.point.config.gradients.checkpointing else 4
    return f"FLOP model: {passes} FLOP per parameter and token, and the spectra, at {on}"


# --- jobs and totals


def _array_block(found: Forecast, array: Array) -> Table:
    """How many jobs of what, and how sbatch is asked for them."""
    block = Table.grid(padding=(0, 2))
    block.add_column(style="dim", no_wrap=True)
    block.add_column(overflow="fold")
    name = "processes" if isinstance(found.settings, LocalSettings) else f"array {array.number}"
    block.add_row(name, _size(found, array))
    owner = {p.point.point_id: p.point.axes.model for p in found.starting}
    models = dict.fromkeys(owner[i] for task in array.tasks for i in task.point_ids)
    block.add_row("models", ", ".join(models))
    if isinstance(found.settings, SlurmSettings):
        block.add_row("sbatch", _sbatch(array))
        limit = int(array.resources.get("timeout_min", found.settings.timeout_min)) * 60
        if max(found.job_seconds[array.number]) > limit:
            late = (
                f"jobs longer than {duration_text(limit)} go back into the queue and on from there"
            )
            block.add_row("time limit", Text(late, "yellow"))
    return block


def _size(found: Forecast, array: Array) -> str:
    seconds = found.job_seconds[array.number]
    after = f", after array {array.after}" if array.after is not None else ""
    points = ranged([len(task.point_ids) for task in array.tasks], str)
    points += " point" if points == "1" else " points"
    shares = ranged([task.shard.count for task in array.tasks], str)
    points = points if shares == "1" else f"1/{shares} of {points}"
    jobs = "1 job" if len(array.tasks) == 1 else f"{len(array.tasks)} jobs"
    return (
        f"{jobs} of {points}, {min(array.throttle, len(array.tasks))} at a time{after}; "
        f"{ranged(seconds, duration_text)} each"
    )


def _sbatch(array: Array) -> str:
    """Options as sbatch spells them, and the ones that every job has."""
    found = ["--requeue", f"--array=0-{len(array.tasks) - 1}%{array.throttle}"]
    for name, value in array.resources.items():
        if name == "additional_parameters":
            found += [f"--{key}" + ("" if v is True else f"={v}") for key, v in value.items()]
        elif name == "shards":
            continue
        elif name == "setup":
            found.append(f"(and {len(value)} lines of setup)")
        else:
            number = f"{value:g}" if isinstance(value, float) else value
            unit = "GB" if name == "mem_gb" else ""
            found.append(f"--{_OPTIONS.get(name, name.replace('_', '-'))}={number}{unit}")
    return " ".join(found)


def _totals(found: Forecast) -> dict[str, str]:
    if not found.starting:
        return {}
    lines = {"jobs": _how(found)}
    if isinstance(found.settings, SlurmSettings):
        for kind, hours in found.device_hours.items():
            name = "GPU-hours" if kind == "cuda" else "core-hours"
            lines[name] = f"about {hours:.1f}"
    waiting = ", not counting the queue" if isinstance(found.settings, SlurmSettings) else ""
    lines["wall clock"] = f"about {duration_text(found.wall_seconds)}{waiting}"
    lines["disk"] = f"about {_bytes(found.disk_bytes)}"
    unknown = found.bases.get(Basis.UNKNOWN)
    if unknown:
        lines["not counted"] = f"the time of {unknown} points whose model's size is unknown"
    return lines


def _how(found: Forecast) -> str:
    if found.settings is None:
        return "none: one point after the other in this process (see hydra/launcher=slurm, local)"
    n_jobs = sum(len(array.tasks) for array in found.arrays)
    if isinstance(found.settings, LocalSettings):
        return f"{n_jobs} processes on this machine"
    arrays = "1 array" if len(found.arrays) == 1 else f"{len(found.arrays)} arrays"
    limit = "" if found.array_limit_known else "; no SLURM answers here: its default MaxArraySize"
    return f"{n_jobs} in {arrays}, {found.settings.array_parallelism} at a time{limit}"


def _bytes(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{max(number, 1e5) / 1e6:.1f} MB"
