"""Whether a unit's gradient is its own: a forward pass may take something from batch mates, from
padding, from a pass in another thread, or from what ran before.

Position encodings by the longest sequence of a pass (longrope, dynamic NTK), attention that sees
padding and modules that write to themselves in `forward` do so. No list of names would hold them
all, so it is tried, on the shortest and the longest unit of a point and in forward passes alone:
where the log-probability of every response token is the same, so is the function, and its gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from gradsweep.engine.batch import collate
from gradsweep.engine.frozen import frozen
from gradsweep.engine.response import ResponseHead, install_response_head
from gradsweep.engine.schedule import suppress_out_of_memory
from gradsweep.errors import ModelError
from gradsweep.models.load import LoadedModel
from gradsweep.records import EncodedUnit

FULL_ROUNDINGS = 64
"""Roundings of the largest log-probability that two ways of one computation in float32 may lie
apart."""
HALF_ROUNDINGS = (1, 8)
"""The same in 16 bits, where every layer rounds: at least and at most. Between them the same unit
twice in a batch tells."""


@dataclass(frozen=True)
class Independence:
    """What a unit's forward pass does not depend on."""

    of_batch: bool = True
    """On the units beside it in a batch, nor on padding."""
    of_threads: bool = True
    """On a pass of the same model in another thread."""

    def __str__(self) -> str:
        dependences = []
        if not self.of_batch:
            dependences.append("depends on what else is in its batch, so units run one by one")
        if not self.of_threads:
            dependences.append("writes to the model itself, so gradients.workers=1")
        return "a forward pass " + (" and ".join(dependences) or "depends on its own unit alone")


INDEPENDENT = Independence()
_FOUND: WeakKeyDictionary[torch.nn.Module, dict[tuple[torch.dtype, int, int], Independence]] = (
    WeakKeyDictionary()
)
"""Points of a grid share a loaded model; of the same lengths, they need not be tried again."""


def check_independence(loaded: LoadedModel, units: Sequence[EncodedUnit]) -> Independence:
    """Run the shortest and the longest of these units alone, together, and in two threads.

    About four forward passes of the longest one, without a graph.

    Args:
        loaded: the model; it is left as it was.
        units: all units of a point, so that every share of it decides alike.

    Raises:
        ModelError: a unit alone gives something else after another one ran.
    """
    by_length = sorted(units, key=lambda unit: unit.n_tokens)
    lengths = (loaded.model.dtype, by_length[0].n_tokens, by_length[-1].n_tokens)
    found = _FOUND.setdefault(loaded.model, {})
    if lengths not in found:
        found[lengths] = _tried(loaded, by_length)
    return found[lengths]


def _tried(loaded: LoadedModel, by_length: Sequence[EncodedUnit]) -> Independence:
    with frozen(loaded.model), install_response_head(loaded.model) as head:
        for long in (by_length[-1], by_length[len(by_length) // 2]):
            with suppress_out_of_memory():
                return _Trial(loaded, head, by_length[0], long).result()
    return INDEPENDENT  # what does not fit without a graph is not measured at all


class _Trial:
    def __init__(
        self, loaded: LoadedModel, head: ResponseHead, short: EncodedUnit, long: EncodedUnit
    ) -> None:
        self._model = loaded.model
        self._head = head
        self._short = short
        self._long = long

    def result(self) -> Independence:
        short = self._log_probs(self._short)
        state = _State(self._model)
        long = self._log_probs(self._long)
        writes = state.has_changed()
        tolerance = self._tolerance(short)
        if writes:
            self._check_history(short, tolerance)
        together = self._log_probs(self._short, self._long)
        of_batch = _distance(together, torch.cat([short, long])) <= tolerance
        of_threads = not writes and self._distance_in_threads(short, long) <= tolerance
        return Independence(of_batch, of_threads)

    def _tolerance(self, short: Tensor) -> float:
        """How far rounding may move a log-probability."""
        precision = torch.finfo(self._model.dtype)
        largest = max(1.0, float(short.abs().nan_to_num(0.0, posinf=0.0).max()))
        if precision.bits >= 32:
            return FULL_ROUNDINGS * torch.finfo(torch.float32).eps * largest
        rounding = precision.eps * largest
        twice = self._log_probs(self._short, self._short)
        seen = 4 * _distance(twice, torch.cat([short, short]))
        least, most = HALF_ROUNDINGS
        return min(max(least * rounding, seen), most * rounding)

    def _check_history(self, short: Tensor, tolerance: float) -> None:
        distance = _distance(self._log_probs(self._short), short)
        if distance > tolerance:
            raise ModelError(
                "the model's forward pass keeps something of the samples before: the "
                f"log-probabilities of the shortest sample change by up to {distance:.1e} after "
                "the longest one, so that no sample has a gradient of its own; look for a module "
                "that writes to itself in forward"
            )

    def _distance_in_threads(self, short: Tensor, long: Tensor) -> float:
        """How far passes that run at the same time lie from those that ran alone."""
        threads = torch.get_num_threads()
        distance = 0.0
        with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            running = pool.submit(self._log_probs, self._long)
            is_last = False
            while not is_last:
                is_last = running.done()
                beside = pool.submit(self._log_probs, self._short).result()
                distance = max(distance, _distance(beside, short))
        torch.set_num_threads(threads)  # a worker's setting is the next thread's default
        return max(distance, _distance(running.result(), long))

    def _log_probs(self, *units: EncodedUnit) -> Float[Tensor, " tokens"]:
        """Of the response tokens of these units as one batch."""
        with torch.no_grad():  # which is a thread's own
            return self._head.tokens(self._model, collate(units, self._model.device)).log_probs


def _distance(ours: Float[Tensor, " tokens"], theirs: Float[Tensor, " tokens"]) -> float:
    """The largest difference; infinite where only one side is a number."""
    close = torch.isclose(ours, theirs, rtol=0.0, atol=0.0, equal_nan=True)
    difference = (ours.double() - theirs.double()).abs().nan_to_num(inf)
    return float(difference.masked_fill(close, 0.0).max())


class _State:
    """What modules hold besides parameters and submodules, as far as a write to it would show."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model
        self._values = dict(_values(model))  # holds tensors, so that no other takes their place
        self._versions = _versions(self._values)

    def has_changed(self) -> bool:
        now = dict(_values(self._model))
        same = now.keys() == self._values.keys() and all(
            value is now[key] or (not isinstance(value, Tensor) and value == now[key])
            for key, value in self._values.items()
        )
        return not same or _versions(now) != self._versions


def _values(model: torch.nn.Module) -> Iterator[tuple[tuple[str, str], Any]]:
    for name, module in model.named_modules():
        for key, value in {**vars(module), **module._buffers}.items():
            if isinstance(value, Tensor | bool | int | float | str | torch.Size):
                yield (name, key), value


def _versions(values: dict[tuple[str, str], Any]) -> list[int]:
    """Counters of writes in place."""
    return [value._version for value in values.values() if isinstance(value, Tensor)]
