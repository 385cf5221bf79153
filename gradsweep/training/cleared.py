"""Whether gradients were cleared between two backward passes: what the passes gave is gone, too.

A loop drops a batch by clearing gradients in place of a step, and a scaler leaves a step out whose
gradients overflow. Nobody is told; the adapters' own `.grad`, when the next pass begins, shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from torch import Tensor

from gradsweep.training.ranks import is_sharded, local_part
from gradsweep.training.weights import WatchedWeight


class Before(Enum):
    """What a layer's weights have from the passes before the one that begins."""

    NOTHING = "nothing"
    GRADIENT = "gradient"
    UNKNOWN = "unknown"


class ClearedGradients:
    """Tells what the weights of a layer have when a backward pass reaches it.

    FSDP2 keeps what it has not yet summed over processes away from `.grad`, and nothing clears it
    there: no gradient means that one was cleared only after one had come.
    """

    def __init__(self, weights: Sequence[WatchedWeight]) -> None:
        """`weights`: those that train, of the layers that will be asked for."""
        self._weights: dict[int, list[Tensor]] = {}
        for watched in weights:
            self._weights.setdefault(watched.layer, []).append(watched.weight)
        self._came: set[int] = set()
        self._handles: list[Any] = []

    def install(self) -> None:
        """Put hooks on weights that are sharded."""
        for layer, (first, *_) in self._weights.items():
            if is_sharded(first):
                note = self._noter(layer)
                self._handles.append(first.register_post_accumulate_grad_hook(note))

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def before(self, layer: int) -> Before:
        """Return what there is of a layer, before the pass that begins gives it a gradient."""
        own = [weight.grad for weight in self._weights[layer] if weight.grad is not None]
        parts = [part for part in map(local_part, own) if part.numel()]
        if any(bool(part.any()) for part in parts):
            return Before.GRADIENT
        is_empty_shard = bool(own) and not parts
        elsewhere = is_sharded(self._weights[layer][0]) and layer not in self._came
        if is_empty_shard or elsewhere:
            return Before.UNKNOWN
        self._came.discard(layer)
        return Before.NOTHING

    def _noter(self, layer: int) -> Any:
        return lambda weight: self._came.add(layer)
