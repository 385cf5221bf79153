"""Several processes that train one model: who solves what, and how all of them get the whole.

Under DDP every process has every gradient, under FSDP2 a shard of each. A matrix is gathered and
solved by one owner, and results go to all: the rows are those of one process.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Item = TypeVar("Item")


class Ranks:
    """The processes of the default group; a lone one where there is no group."""

    def __init__(self) -> None:
        grouped = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if grouped else 0
        self.count = dist.get_world_size() if grouped else 1

    def owns(self, place: int) -> bool:
        """Whether this process solves the matrix at that place."""
        return place % self.count == self.rank

    def gathered(self, own: Iterable[Item]) -> list[Item]:
        """Return the items of all processes, those of the first one first; all of them call it."""
        items = list(own)
        if self.count == 1:
            return items
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, items)
        return [item for of_rank in found for item in of_rank]


def whole(tensor: Tensor) -> Tensor:
    """Return the whole of a tensor that may be sharded over processes, all of which call it."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a DTensor, as FSDP2 makes of every weight and gradient."""
    return hasattr(tensor, "full_tensor")  # importing DTensor takes a second


def local_part(tensor: Tensor) -> Tensor:
    """Return what this process has of a tensor."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def n_shards(tensor: Tensor) -> int:
    """Return how many different parts a tensor lies in; 1 where every process has all of it."""
    if not is_sharded(tensor):
        return 1
    spec: Any = tensor
    sizes = zip(spec.placements, spec.device_mesh.shape, strict=True)
    return math.prod(size for placement, size in sizes if placement.is_shard())


def squared_norm(tensor: Tensor) -> Tensor:
    """Return Σx² of what this process has of a tensor, as a float64 scalar on its device.

    Row by row: one sum in float32 over a large embedding is wrong in the third digit, and one in
    float64 takes ten times as long.
    """
    values = local_part(tensor).detach()
    if values.dim() < 2 or not values.numel():
        return values.double().square().sum()
    single = torch.promote_types(values.dtype, torch.float32)
    rows = torch.linalg.vector_norm(values, dim=-1, dtype=single)
    return rows.double().square().sum()


def total_norm(tensors: Iterable[Tensor], ranks: Ranks) -> float:
    """Return (Σ‖t‖²)^½ over whole tensors; all processes call it with the same ones."""
    squares = [squared_norm(t).cpu() * (n_shards(t) / ranks.count) for t in tensors]
    own = float(torch.stack(squares).sum()) if squares else 0.0
    return math.sqrt(math.fsum(ranks.gathered([own])))
