"""What happened to a step's gradient between the backward pass and the optimizer.

Trainers clip before any hook of theirs runs, and unscale float16 gradients: both multiply every
gradient by one factor. So the norms of the watched weights' gradients, as they were accumulated and
as the optimizer gets them, tell that factor, and whether it is one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradsweep.errors import ModelError
from gradsweep.training.ranks import Ranks, local_part, n_shards, squared_norm
from gradsweep.training.weights import WatchedWeight

_SQUARES_UNDERFLOW = 1e-15
"""Of smaller entries the squares that a norm in float32 sums lose digits."""


@dataclass(frozen=True)
class _Size:
    """Two numbers of a gradient that a common factor multiplies alike."""

    norm: float
    largest: float

    @property
    def shape(self) -> float:
        """Share of the largest entry: scaling leaves it as it is, clipping by value does not."""
        return self.largest / self.norm if self.norm else 0.0


class AccumulatedNorms:
    """Notes the norm of every watched weight's gradient at the end of every backward pass.

    Of the end, and not when the weight's own gradient comes: DDP and FSDP2 put the mean over
    processes in its place later. The last pass before the optimizer's step counts; with gradient
    accumulation that is the one that completes the gradient.
    """

    def __init__(self, weights: Sequence[WatchedWeight]) -> None:
        self._weights = weights
        self._noted: dict[int, tuple[Tensor, Tensor]] = {}
        self._handles: list[Any] = []
        self.awaits = True
        """Whether the factor of a pass's step may be asked for; of others nothing is noted."""

    def install(self) -> None:
        self.awaits = True
        self._handles = [
            watched.weight.register_post_accumulate_grad_hook(self._noter(place))
            for place, watched in enumerate(self._weights)
        ]

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles, self._noted = [], {}

    def _noter(self, place: int) -> Any:
        def note() -> None:
            gradient = self._weights[place].weight.grad
            if gradient is not None:
                self._noted[place] = _squares_and_largest(gradient)

        def at_the_end(weight: Tensor) -> None:
            # Callbacks run in turn when the pass is over. What DDP and FSDP2 do then has been
            # queued before by the time ours runs, so that its own callback comes after theirs.
            queue = torch.autograd.Variable._execution_engine.queue_callback
            if self.awaits:
                queue(lambda: queue(note))

        return at_the_end

    def factor(self, ranks: Ranks) -> float:
        """Return what the gradients have been multiplied by since; 1 for zero gradients, and NaN or
        0 where something is not finite.

        All processes call it.

        Raises:
            ModelError: no backward pass has been seen, a gradient was changed otherwise than by
                the factor of all, or processes have gradients of their own.
        """
        gradients = [watched.weight.grad for watched in self._weights]
        if len(self._noted) < len(gradients) or any(g is None for g in gradients):
            raise ModelError(
                "no gradient has been seen to arrive at the watched weights: the watch must be "
                "installed before the step's first backward pass, and FSDP1 is not supported (its "
                "weights get their gradients past every hook); use FSDP2 (fully_shard) or DDP"
            )
        before = self._sizes((self._noted[place] for place in range(len(gradients))), ranks)
        after = self._sizes((_squares_and_largest(g) for g in gradients if g is not None), ranks)
        self._noted = {}
        told = [place for place, size in enumerate(before) if not size.largest < self._least(place)]
        told = told or [place for place, size in enumerate(before) if size.norm]
        if not told:
            return 1.0
        factor = after[told[-1]].norm / before[told[-1]].norm
        if 0 < factor < math.inf:
            for place in told:
                self._check(place, before[place], after[place], factor)
        return factor

    def _least(self, place: int) -> float:
        """Below it a gradient's largest entry, and its norm, are not scaled to the last digits."""
        return max(torch.finfo(self._weights[place].weight.dtype).tiny, _SQUARES_UNDERFLOW)

    def _check(self, place: int, before: _Size, after: _Size, factor: float) -> None:
        watched = self._weights[place]
        if before.largest * factor < self._least(place):
            return
        allowed = 16 * torch.finfo(watched.weight.dtype).eps
        is_scaled = not abs(after.norm - factor * before.norm) > allowed * factor * before.norm
        if is_scaled and not abs(after.shape - before.shape) > allowed * before.shape:
            return  # NaN, too, which rows show
        raise ModelError(
            "the gradients were changed between the backward pass and the optimizer's step "
            f"otherwise than by one factor for all (seen at {next(iter(watched.columns))} of layer "
            f"{watched.layer}), so what was accumulated is not known any more: clip by norm, all "
            "parameters together (torch.nn.utils.clip_grad_norm_(model.parameters(), …)), not by "
            "value, nor layers or parameters by themselves"
        )

    def _sizes(self, own: Iterable[tuple[Tensor, Tensor]], ranks: Ranks) -> list[_Size]:
        numbers = _numbers([number for pair in own for number in pair])
        found = ranks.gathered([numbers])
        return [
            self._size([(of_rank[at], of_rank[at + 1]) for of_rank in found], place, ranks)
            for place, at in enumerate(range(0, len(numbers), 2))
        ]

    def _size(self, found: Sequence[tuple[float, float]], place: int, ranks: Ranks) -> _Size:
        shards = n_shards(self._weights[place].weight)
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


def _numbers(scalars: Sequence[Tensor]) -> tuple[float, ...]:
    """Read scalars off their devices, at once where it is one."""
    if len({scalar.device for scalar in scalars}) == 1:
        return tuple(torch.stack([scalar.double() for scalar in scalars]).tolist())
    return tuple(float(scalar) for scalar in scalars)
