"""From a plan to its forecast: jobs, memory, time and disk."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from gradsweep.config import Config
from gradsweep.errors import SchedulerError
from gradsweep.jobs.fit import job_hardware, misfit
from gradsweep.jobs.grouping import group_points
from gradsweep.jobs.queued import points_in_jobs
from gradsweep.jobs.records import Array, Task
from gradsweep.jobs.schedulers.local import LocalScheduler
from gradsweep.jobs.schedulers.slurm import DEFAULT_MAX_ARRAY_SIZE, SlurmScheduler
from gradsweep.jobs.settings import LaunchSettings, LocalSettings, SlurmSettings
from gradsweep.plan import Plan, PlannedPoint
from gradsweep.plan.estimate import (
    Cost,
    Duration,
    Hardware,
    Tokens,
    longest_batch,
    makespan,
    peak_memory,
    point_bytes,
    read_costs,
    seconds_per_sample,
    this_machine,
    tokens_per_sample,
)
from gradsweep.plan.forecast.records import Forecast, ModelForecast, PointForecast
from gradsweep.store import PointPaths, PointState
from gradsweep.store.point import read_parts

PATIENCE_SECONDS = 1.5
"""For SLURM's answer about arrays: a plan is a quick look."""


def forecast(plan: Plan, settings: LaunchSettings | None) -> Forecast:
    """Look at files, at the settings, and at SLURM's array limit where there is a SLURM."""
    results = Path(plan.results)
    points = _points(plan, settings, read_costs(results), points_in_jobs(results))
    starting = [one.point for one in points if one.starts]
    arrays, limit_known = _arrays(settings, starting)
    # Without a launcher, the weights of a model stay in memory from one point to the next.
    serial = group_points(starting, len(starting)) if settings is None and starting else ()
    tasks = [(task, 1) for task in serial]
    tasks += [(task, _processes(array)) for array in arrays for task in array.tasks]
    models = _models(points, tasks)
    jobs = {
        a.number: tuple(_task_seconds(task, models, _processes(a)) for task in a.tasks)
        for a in arrays
    }
    alone = sum(_task_seconds(task, models, 1) for task in serial)
    return Forecast(
        plan,
        settings,
        points,
        models,
        arrays,
        limit_known,
        jobs,
        wall_seconds=_wall_seconds(arrays, jobs) if settings else alone,
        disk_bytes=sum(one.disk_bytes or 0.0 for one in points if one.starts),
    )


def _points(
    plan: Plan,
    settings: LaunchSettings | None,
    costs: Sequence[Cost],
    in_jobs: Mapping[str, str],
) -> tuple[PointForecast, ...]:
    """Points that differ in their responses only are looked at once."""
    known: dict[str, tuple[Hardware, Tokens, Duration]] = {}
    found = []
    for point in plan.points:
        config, state = point.config, _state(point, in_jobs)
        key = repr((config.model, config.dataset, config.cot, config.gradients))
        if key not in known:
            hardware, tokens = _hardware(settings, config), tokens_per_sample(config, costs)
            time = seconds_per_sample(config, tokens.number, hardware, costs)
            known[key] = hardware, tokens, time
        hardware, tokens, time = known[key]
        found.append(
            PointForecast(
                point,
                state,
                job=in_jobs.get(point.point_id) if state == "queued" else None,
                samples=_samples_left(point),
                tokens=tokens,
                duration=time,
                disk_bytes=point_bytes(config, tokens.number, costs),
                hardware=hardware,
            )
        )
    return tuple(found)


def _state(point: PlannedPoint, in_jobs: Mapping[str, str]) -> str:
    if point.state in (PointState.DONE, PointState.RUNNING):
        return point.state.value
    if point.point_id in in_jobs:
        return "queued"
    return "run" if point.state is PointState.NEW else point.state.value


def _samples_left(point: PlannedPoint) -> int:
    if point.state is PointState.DONE:
        return 0
    wanted = point.config.requested_samples
    if point.state is PointState.NEW:
        return wanted
    paths = PointPaths(point.config.results, point.point_id)
    return max(0, wanted - len(read_parts(paths, "samples")))


def _hardware(settings: LaunchSettings | None, config: Config) -> Hardware:
    if isinstance(settings, SlurmSettings):
        return job_hardware(settings, config)
    machine = this_machine(config.gradients.device)
    processes = settings.array_parallelism if settings else 1
    cores = max(1, (machine.cores or 1) // processes)
    return Hardware(machine.kind, machine.name, machine.memory_gb, machine.gpus, cores)


def _arrays(
    settings: LaunchSettings | None, points: Sequence[PlannedPoint]
) -> tuple[tuple[Array, ...], bool]:
    """As they would be submitted; and whether the cluster's own limit was used."""
    if settings is None or not points:
        return (), True
    if isinstance(settings, LocalSettings):
        return LocalScheduler(settings).arrays(points), True
    assert isinstance(settings, SlurmSettings)
    scheduler = SlurmScheduler(settings)
    try:
        limit = scheduler.max_array_size(PATIENCE_SECONDS) if shutil.which("scontrol") else None
    except SchedulerError:
        limit = None  # a plan does without the answer, and says so
    return scheduler.arrays(points, limit or DEFAULT_MAX_ARRAY_SIZE), limit is not None


def _processes(array: Array) -> int:
    """Of each of its jobs, which share out the samples of the job's points."""
    return int(array.resources.get("tasks_per_node", 1))


def _models(
    points: Sequence[PointForecast], tasks: Sequence[tuple[Task, int]]
) -> tuple[ModelForecast, ...]:
    groups: dict[str, list[PointForecast]] = {}
    for one in points:
        config = one.point.config
        groups.setdefault(repr((config.model, config.gradients)), []).append(one)
    found = []
    for group in groups.values():
        config, hardware = group[0].point.config, group[0].hardware
        ids = {one.point.point_id for one in group}
        found.append(
            ModelForecast(
                config,
                tuple(group),
                hardware,
                peak_memory(config, hardware, longest_batch(config)),
                misfit(config, hardware),
                n_loads=sum(n for task, n in tasks if not ids.isdisjoint(task.point_ids)),
            )
        )
    return tuple(found)


def _task_seconds(task: Task, models: Sequence[ModelForecast], processes: int) -> float:
    """Its share of its points, and the weights of every model among them.

    A local process may have several models.
    """
    ids = set(task.point_ids)
    shares = task.shard.count * processes
    seconds = 0.0
    for model in models:
        own = [one.seconds for one in model.points if one.point.point_id in ids]
        seconds += sum(own) / shares + (model.load_seconds if own else 0.0)
    return seconds


def _wall_seconds(arrays: Sequence[Array], jobs: Mapping[int, Sequence[float]]) -> float:
    """Arrays run beside each other, except one that waits for the places of another."""
    ends: dict[int, float] = {}
    for array in arrays:
        start = ends[array.after] if array.after is not None else 0.0
        ends[array.number] = start + makespan(jobs[array.number], array.throttle)
    return max(ends.values(), default=0.0)
