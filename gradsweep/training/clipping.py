"""What happened to a step's gradient between the backward pass and the optimizer.

Trainers clip before any hook of theirs runs, and unscale float16 gradients: both multiply every
gradient by one factor. So the norm of a single weight's gradient, as it was accumulated and as the
optimizer gets it, tells the factor of all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradsweep.errors import ModelError
from gradsweep.training.ranks import Ranks, local_part, n_shards, squared_norm


@dataclass(frozen=True)
class _Size:
    """Two numbers of a gradient that a common factor multiplies alike."""

    norm: float
    largest: float

    @property
    def shape(self) -> float:
        """Share of the largest entry: scaling leaves it as it is, clipping by value does not."""
        return self.largest / self.norm if self.norm else 0.0


class AccumulatedNorm:
    """Notes the norm of one weight's gradient at the end of every backward pass.

    Of the end, and not when the weight's own gradient comes: DDP and FSDP2 put the mean over
    processes in its place later. The last pass before the optimizer's step counts; with gradient
    accumulation that is the one that completes the gradient.
    """

    def __init__(self, weight: nn.Parameter) -> None:
        self._weight = weight
        self._noted: tuple[Tensor, Tensor] | None = None

    def install(self) -> None:
        self._handle = self._weight.register_post_accumulate_grad_hook(self._at_the_end)

    def remove(self) -> None:
        self._handle.remove()
        self._noted = None

    def _at_the_end(self, weight: Tensor) -> None:
        # Callbacks run in turn when the pass is over. What DDP and FSDP2 do then has been queued
        # before by the time ours runs, so that its own callback comes after theirs.
        queue = torch.autograd.Variable._execution_engine.queue_callback
        queue(lambda: queue(self._note))

    def _note(self) -> None:
        if self._weight.grad is not None:
            self._noted = _squares_and_largest(self._weight.grad)

    def factor(self, ranks: Ranks) -> float:
        """Return what the gradient has been multiplied by since; 1 for a zero gradient, and NaN or
        0 where something is not finite.

        All processes call it.

        Raises:
            ModelError: no backward pass has been seen, the gradient was changed otherwise than by
                a factor, or processes have gradients of their own.
        """
        gradient = self._weight.grad
        if self._noted is None or gradient is None:
            raise ModelError(
                "no gradient has been seen to arrive at the watched weights: the watch must be "
                "installed before the step's first backward pass, and FSDP1 is not supported (its "
                "weights get their gradients past every hook); use FSDP2 (fully_shard) or DDP"
            )
        before = self._size(self._noted, ranks)
        after = self._size(_squares_and_largest(gradient), ranks)
        self._noted = None
        if before.norm == 0:
            return 1.0
        factor = after.norm / before.norm
        allowed = 16 * torch.finfo(gradient.dtype).eps
        if 0 < factor < math.inf and abs(after.shape - before.shape) > allowed * before.shape:
            raise ModelError(
                "the gradients were changed between the backward pass and the optimizer's step "
                "otherwise than by one factor for all, so what was accumulated is not known any "
                "more: clip by norm (torch.nn.utils.clip_grad_norm_), not by value"
            )
        return factor

    def _size(self, own: tuple[Tensor, Tensor], ranks: Ranks) -> _Size:
        found = ranks.gathered([(float(own[0]), float(own[1]))])
        shards = n_shards(self._weight)
        if shards == 1 and len({squares for squares, _ in found if squares == squares}) > 1:
            raise ModelError(
                f"the {ranks.count} processes have gradients of their own: update rows are of one "
                "gradient that all of them share, as under DDP and FSDP2; wrap the model in "
                "DistributedDataParallel, or make no process group"
            )
        squares = math.fsum(squares for squares, _ in found) * shards / ranks.count
        return _Size(math.sqrt(squares), max(largest for _, largest in found))


def _squares_and_largest(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Σx² and max|x| of what this process has, on its device: the pass does not wait for them."""
    own = local_part(gradient).detach()
    largest = own.abs().max() if own.numel() else own.new_zeros(())
    return squared_norm(gradient), largest
