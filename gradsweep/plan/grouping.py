"""Groups points that share a job, and jobs that share an array."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from gradsweep.config import Config
from gradsweep.models.fingerprint import source_identity
from gradsweep.plan.points import PlannedPoint
from gradsweep.records import WHOLE, Shard


@dataclass(frozen=True)
class Task:
    """The work of one array element, or of one local process: points of one model, in order."""

    model: str
    point_ids: tuple[str, ...]
    shard: Shard = WHOLE
    """The share of every point's samples, which the processes of the task share out further."""


@dataclass(frozen=True)
class Array:
    """One job array; its tasks are numbered from 0, as the scheduler numbers its elements."""

    number: int
    throttle: int
    """Elements that may run at the same time."""
    resources: dict[str, Any]
    tasks: tuple[Task, ...]
    after: int | None = None
    """The array of this submission that has to end first, to keep to the shared throttle."""


@dataclass(frozen=True)
class Foreseen:
    """Arrays as they would be submitted."""

    arrays: tuple[Array, ...]
    caveat: str = ""
    """Words on what was taken for granted, as nobody answered; empty when nothing was."""


def group_points(
    points: Sequence[PlannedPoint],
    points_per_job: int,
    shards: Callable[[str], int] = lambda model: 1,
) -> list[Task]:
    """Make tasks of at most `points_per_job` points whose weights are loaded once.

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
    """Cut into `n_parts` neighbouring parts whose sizes differ by one at most."""
    cuts = [len(items) * part // n_parts for part in range(n_parts + 1)]
    return [list(items[a:b]) for a, b in pairwise(cuts)]


def make_arrays(
    tasks: Sequence[Task],
    resources: Callable[[str], dict[str, Any]],
    parallelism: int,
    max_array_size: int,
) -> tuple[Array, ...]:
    """Make arrays of tasks with equal resources.

    Args:
        tasks: in their order, which is kept within an array.
        resources: of a model's jobs.
        parallelism: jobs that may run at the same time, over all arrays.
        max_array_size: elements that an array may have.
    """
    groups: list[tuple[dict[str, Any], list[Task]]] = []
    for task in tasks:
        asked = resources(task.model)
        same = next((group for have, group in groups if have == asked), None)
        if same is None:
            groups.append((asked, [task]))
        else:
            same.append(task)
    chunks = [
        (asked, group[start : start + max_array_size])
        for asked, group in groups
        for start in range(0, len(group), max_array_size)
    ]
    shares = shared_throttle([len(chunk) for _, chunk in chunks], parallelism)
    return tuple(
        # With fewer slots than arrays, each array waits for the one that has its slot.
        Array(i, shares[i], asked, tuple(chunk), i - parallelism if i >= parallelism else None)
        for i, (asked, chunk) in enumerate(chunks)
    )


def shared_throttle(sizes: Sequence[int], limit: int) -> list[int]:
    """Give each array a share of `limit` simultaneous elements, by its size and at least one.

    The shares sum up to `limit` at most, unless there are more arrays than that.
    """
    shares = [min(size, max(1, limit * size // sum(sizes))) for size in sizes]
    while sum(shares) > limit and max(shares) > 1:
        shares[shares.index(max(shares))] -= 1
    return shares


def _weights(config: Config) -> str:
    """Return a key that is equal for points that run on the same loaded model."""
    model = config.model
    source = sorted(source_identity(model.source).items(), key=lambda item: item[0])
    kept = model.dtype, model.quantization, model.device_map, model.placement
    return repr((source, kept, config.gradients.device))
