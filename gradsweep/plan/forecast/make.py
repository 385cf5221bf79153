"""Makes the forecast of a plan: jobs, memory, time and disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gradsweep.config import Config
from gradsweep.plan import Plan, PlannedPoint
from gradsweep.plan.estimate import (
    Cost,
    CostsByPoint,
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
    tokens_per_pass,
)
from gradsweep.plan.estimate.memory import memory_settings
from gradsweep.plan.estimate.training import run_length, samples_passed
from gradsweep.plan.fit import misfit
from gradsweep.plan.forecast.records import Forecast, ModelForecast, PointForecast
from gradsweep.plan.grouping import Array, Foreseen, Task, group_points
from gradsweep.plan.scheduling import JobPlanner
from gradsweep.store import PointPaths, PointState
from gradsweep.store.point import read_parts
from gradsweep.store.training import read_steps


def forecast(plan: Plan, scheduler: JobPlanner | None, in_jobs: Mapping[str, str]) -> Forecast:
    """Look at files and settings, and at a limit of the scheduler where it tells one at once.

    Args:
        plan: whose points are looked at.
        scheduler: that would run them; None is this process, one point after the other.
        in_jobs: point_id -> the job in which it waits or runs.
    """
    costs = read_costs(Path(plan.results))
    points = _points(plan, scheduler, costs, in_jobs)
    starting = [point.planned for point in points if point.starts]
    foreseen = scheduler.foresee(starting) if scheduler and starting else Foreseen(())
    # In one process, the weights of a model stay in memory from one point to the next.
    serial = group_points(starting, len(starting)) if not scheduler and starting else ()
    processes = {a.number: scheduler.processes(a) for a in foreseen.arrays} if scheduler else {}
    tasks = [(task, 1) for task in serial]
    tasks += [(task, processes[a.number]) for a in foreseen.arrays for task in a.tasks]
    models = _models(points, tasks)
    jobs = {
        a.number: tuple(_task_seconds(task, models, processes[a.number]) for task in a.tasks)
        for a in foreseen.arrays
    }
    alone = sum(_task_seconds(task, models, 1) for task in serial)
    return Forecast(
        plan,
        scheduler,
        points,
        models,
        foreseen.arrays,
        foreseen.caveat,
        jobs,
        wall_seconds=_wall_seconds(foreseen.arrays, jobs) if scheduler else alone,
        disk_bytes=sum(point.disk_bytes or 0.0 for point in points if point.starts),
    )


def _points(
    plan: Plan,
    scheduler: JobPlanner | None,
    costs: Sequence[Cost],
    in_jobs: Mapping[str, str],
) -> tuple[PointForecast, ...]:
    """Forecast each point; those that differ in correctness only are looked at once."""
    known: dict[str, tuple[Hardware, Tokens, Duration, Sequence[Cost]]] = {}
    told, points = CostsByPoint(costs), []
    for point in plan.points:
        config, state = point.config, _state(point, in_jobs)
        axes = (config.model, config.dataset, config.cot, config.objective)
        key = repr((*axes, config.gradients, config.training))
        if key not in known:
            hardware, own = _hardware(scheduler, config), told.of(config)
            tokens = tokens_per_pass(config, own)
            time = seconds_per_sample(config, tokens.number, hardware, own)
            known[key] = hardware, tokens, time, own
        hardware, tokens, time, own = known[key]
        points.append(
            PointForecast(
                point,
                state,
                job=in_jobs.get(point.point_id) if state == "queued" else None,
                samples=_samples_left(point),
                tokens=tokens,
                duration=time,
                disk_bytes=point_bytes(config, tokens.number, own),
                hardware=hardware,
                run=run_length(config),
            )
        )
    return tuple(points)


def _hardware(scheduler: JobPlanner | None, config: Config) -> Hardware:
    return scheduler.hardware(config) if scheduler else this_machine(config.gradients.device)


def _state(point: PlannedPoint, in_jobs: Mapping[str, str]) -> str:
    if point.state in (PointState.DONE, PointState.RUNNING):
        return point.state.value
    if point.point_id in in_jobs:
        return "queued"
    return "run" if point.state is PointState.NEW else point.state.value


def _samples_left(point: PlannedPoint) -> int:
    if point.state is PointState.DONE:
        return 0
    requested = samples_passed(point.config)
    if point.state is PointState.NEW:
        return requested
    paths = PointPaths(point.config.results, point.point_id)
    if point.config.training.trains:
        trained = int(read_steps(paths)["n_samples"].sum())
        return max(0, requested - trained)
    return max(0, requested - len(read_parts(paths, "samples")))


def _models(
    points: Sequence[PointForecast], tasks: Sequence[tuple[Task, int]]
) -> tuple[ModelForecast, ...]:
    groups: dict[str, list[PointForecast]] = {}
    for point in points:
        config = point.planned.config
        groups.setdefault(repr((config.model, config.gradients)), []).append(point)
    models = []
    for group in groups.values():
        hardware = group[0].hardware
        config = _largest([point.planned.config for point in group], hardware)
        ids = {point.planned.point_id for point in group}
        models.append(
            ModelForecast(
                config,
                tuple(group),
                hardware,
                peak_memory(config, hardware, longest_batch(config)),
                misfit(config, hardware),
                n_loads=sum(n for task, n in tasks if not ids.isdisjoint(task.point_ids)),
            )
        )
    return tuple(models)


def _largest(configs: Sequence[Config], hardware: Hardware) -> Config:
    """Choose the point that needs most memory: one that trains, or has a second model."""
    distinct = {repr(memory_settings(config)): config for config in configs}.values()

    def needed(config: Config) -> float:
        memory = peak_memory(config, hardware, longest_batch(config))
        return memory.total if memory else 0.0

    return max(distinct, key=needed)


def _task_seconds(task: Task, models: Sequence[ModelForecast], processes: int) -> float:
    """Add up a task's share of its points, and the weights of every model among them.

    A local process may have several models.
    """
    ids = set(task.point_ids)
    shares = task.shard.count * processes
    seconds = 0.0
    for model in models:
        own = [p.seconds for p in model.points if p.planned.point_id in ids]
        seconds += sum(own) / shares + (model.load_seconds if own else 0.0)
    return seconds


def _wall_seconds(arrays: Sequence[Array], jobs: Mapping[int, Sequence[float]]) -> float:
    """Let arrays run beside each other, except one that waits for the places of another."""
    ends: dict[int, float] = {}
    for array in arrays:
        start = ends[array.after] if array.after is not None else 0.0
        ends[array.number] = start + makespan(jobs[array.number], array.throttle)
    return max(ends.values(), default=0.0)
