"""Which points share a job, and which jobs share an array."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

from gradsweep.config import Config
from gradsweep.jobs.records import Array, Task
from gradsweep.jobs.settings import GPU, RESOURCES, SlurmSettings
from gradsweep.models.fingerprint import source_identity
from gradsweep.plan import PlannedPoint
from gradsweep.records import Shard


def group_points(
    points: Sequence[PlannedPoint],
    points_per_job: int,
    shards: Callable[[str], int] = lambda model: 1,
) -> list[Task]:
    """Tasks of at most `points_per_job` points whose weights are loaded once.

    The points of a model are spread evenly over its tasks; order is kept. With `shards` of a
    model, each of its tasks becomes as many, which share out the samples of the same points.
    """
    by_weights: dict[str, list[PlannedPoint]] = {}
    for point in points:
        by_weights.setdefault(_weights(point.config), []).append(point)
    tasks = []
    for group in by_weights.values():
        ids = [point.point_id for point in group]
        for share in spread(ids, math.ceil(len(ids) / points_per_job)):
            count = shards(model := group[0].axes.model)
            tasks += [Task(model, tuple(share), Shard(i, count)) for i in range(count)]
    return tasks


def spread(items: Sequence[str], n_parts: int) -> list[list[str]]:
    """`n_parts` neighbouring parts whose sizes differ by one at most."""
    cuts = [len(items) * part // n_parts for part in range(n_parts + 1)]
    return [list(items[a:b]) for a, b in pairwise(cuts)]


def make_arrays(
    tasks: Sequence[Task], settings: SlurmSettings, max_array_size: int
) -> tuple[Array, ...]:
    """Arrays of tasks with equal resources, none larger than the cluster's MaxArraySize."""
    groups: list[tuple[dict[str, Any], list[Task]]] = []
    for task in tasks:
        wanted = resources(settings, task.model)
        same = next((group for have, group in groups if have == wanted), None)
        if same is None:
            groups.append((wanted, [task]))
        else:
            same.append(task)
    chunks = [
        (wanted, group[start : start + max_array_size])
        for wanted, group in groups
        for start in range(0, len(group), max_array_size)
    ]
    limit = settings.array_parallelism
    shares = shared_throttle([len(chunk) for _, chunk in chunks], limit)
    return tuple(
        # With fewer slots than arrays, each array waits for the one that has its slot.
        Array(i, shares[i], wanted, tuple(chunk), after=i - limit if i >= limit else None)
        for i, (wanted, chunk) in enumerate(chunks)
    )


def shared_throttle(sizes: Sequence[int], limit: int) -> list[int]:
    """Each array's share of `limit` simultaneous elements, by its size and at least one.

    The shares sum up to `limit` at most, unless there are more arrays than that.
    """
    shares = [min(size, max(1, limit * size // sum(sizes))) for size in sizes]
    while sum(shares) > limit and max(shares) > 1:
        shares[shares.index(max(shares))] -= 1
    return shares


def resources(settings: SlurmSettings, model: str) -> dict[str, Any]:
    """What a model's jobs ask for: the settings, then every matching pattern of `per_model`."""
    return _chosen(settings, model, RESOURCES)


def gpu_of(settings: SlurmSettings, model: str) -> dict[str, Any]:
    """`gpu` and `gpu_memory_gb` of a model's jobs, where they are known."""
    return _chosen(settings, model, GPU)


def _chosen(settings: SlurmSettings, model: str, names: Sequence[str]) -> dict[str, Any]:
    wanted = {name: getattr(settings, name) for name in names}
    for pattern, given in settings.per_model.items():
        if fnmatchcase(model, pattern):
            wanted |= {name: value for name, value in (given or {}).items() if name in names}
    return {name: value for name, value in wanted.items() if value not in (None, {}, [])}


def _weights(config: Config) -> str:
    """Equal for points that run on the same loaded model."""
    model = config.model
    source = sorted(source_identity(model.source).items(), key=lambda item: item[0])
    kept = model.dtype, model.quantization, model.device_map, config.gradients.device
    return repr((source, kept))
