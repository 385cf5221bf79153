"""`python -m benchmarks.launches`: what spectra launch on a GPU and what they wait for, counted on
a CPU.

A small Llama lies on a device that is only pretended, and every operation on it is counted, by the
code that runs on CUDA; cuSOLVER's solver is one operation here, whatever it launches itself. Views
and memory that is asked for launch nothing. The host waits where a value or a copy has to arrive
before it goes on. Counts are those with spectra less those of the same pass without.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, fields
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from transformers import LlamaForCausalLM

from benchmarks.gpu import without_spectra
from benchmarks.pretended_devices import MOVES, PretendedDevices, device_of_result, placed
from benchmarks.random_llamas import MODELS, SHORTEST, batch
from gradsweep.engine.passes import Engine
from gradsweep.engine.spectra.backends import (
    cuda,
    cusolver,
    eigenvalue_ways,
    eigenvalues,
    stacked,
    transfers,
)
from gradsweep.engine.spectra.backends.transfers import sent_to_host
from gradsweep.models.projections import find_projections
from gradsweep.records import PROJECTIONS

DEVICE = torch.device("lazy", 0)
LAYERS = 2
SAMPLES = (1, 4, 16)

MOST_LAUNCHES = 60
"""For the spectra of q, k, v and o of a layer."""

MOST_WAITS = 2
"""Of the host for spectra, a batch; none of them inside the backward pass."""

SPREAD = 0.05
"""By which launches may grow from the fewest samples to the most."""

aten = torch.ops.aten
NO_LAUNCH = {
    *(aten._unsafe_view.default, aten.empty_like.default, aten.empty.memory_format),
    *(aten.new_empty.default, aten.empty_strided.default, aten.new_empty_strided.default),
}
WAITS = {
    *(aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default),
    *(aten._linalg_check_errors.default, aten._linalg_eigh.default, aten._linalg_svd.default),
    *(aten.equal.default, aten._unique2.default),
}
INDEXED = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default}
"""By a mask they are a `nonzero`, too."""


@dataclass(frozen=True)
class Counts:
    """Of one batch."""

    launches: int = 0
    waits: int = 0
    waits_in_backward: int = 0

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))


class Counter(PretendedDevices):
    """Counts what is launched and waited for inside the block."""

    def __init__(self) -> None:
        super().__init__()
        self.launches = self.waits = self.waits_in_backward = 0
        self._in_backward = False
        self._inside_a_library = False
        self._sent = self._arrived = 0

    @property
    def counts(self) -> Counts:
        return Counts(self.launches, self.waits, self.waits_in_backward)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self._inside_a_library:
            self._count(func, args, kwargs or {})
        return super().__torch_dispatch__(func, types, args, kwargs)

    def _count(self, func: Any, args: Any, kwargs: dict[str, Any]) -> None:
        leaves = tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        places = {device_of_result(func, args, kwargs, tensors), *(t.device for t in tensors)}
        if DEVICE not in places or func.is_view or func in NO_LAUNCH:
            return
        self.launches += 1
        moved = func in MOVES and len(places) > 1 and not _is_sent(func, args, kwargs)
        by_mask = func in INDEXED and any(
            index is not None and index.dtype is torch.bool for index in args[1]
        )
        if moved or by_mask or func in WAITS:
            self._wait()

    def _wait(self) -> None:
        self.waits += 1
        self.waits_in_backward += self._in_backward

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Know inside the block when a backward pass runs, and have one launch for cuSOLVER."""
        backward, eigvalsh = torch.autograd.backward, torch.linalg.eigvalsh

        def counted_backward(*args: Any, **kwargs: Any) -> None:
            self._in_backward = True
            try:
                backward(*args, **kwargs)
            finally:
                self._in_backward = False

        def solved(matrices: Tensor) -> tuple[Tensor, Tensor]:
            self.launches += 1
            self._inside_a_library = True
            try:
                return eigvalsh(matrices), matrices.new_zeros(len(matrices))
            finally:
                self._inside_a_library = False

        def counted_copy(tensor: Tensor) -> Callable[[], np.ndarray]:
            """What was sent before is there, too, when a copy has arrived."""
            arrived = sent_to_host(tensor)
            self._sent += 1

            def waited_for(place: int = self._sent) -> np.ndarray:
                if place > self._arrived:
                    self._arrived = place
                    self._wait()
                return arrived()

            return waited_for

        with ExitStack() as stack:
            for place, name, value in (
                (transfers, "sent_to_host", counted_copy),
                (torch.autograd, "backward", counted_backward),
                (cusolver, "eigvalsh", solved),
                (eigenvalues, "fastest_way", _cusolver),
                (eigenvalues, "fastest_of_many", _cusolver),
                (cuda, "fastest_of_many", _cusolver),
            ):
                stack.enter_context(mock.patch.object(place, name, value))
            yield


def _cusolver(device: torch.device, n: int) -> eigenvalue_ways.Way:
    return eigenvalue_ways.by_cusolver


def _is_sent(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether a copy between host and device is one that nobody waits for."""
    in_place = func is aten.copy_.default and len(args) > 2 and args[2]
    return bool(in_place or kwargs.get("non_blocking"))


def small_llama() -> LlamaForCausalLM:
    """Return a Llama whose k and v are half as wide as q, on the pretended device."""
    model = MODELS["tiny"].with_layers(LAYERS).build(torch.device("cpu"))
    placed(model, DEVICE)
    return model


def counted(model: LlamaForCausalLM, tokens: int, samples: int, unequal: bool) -> Counts:
    """Return what the spectra of one batch launch and wait for."""
    found = []
    for context in (None, without_spectra()):
        stacked.stack_of.cache_clear()
        with Counter() as counter, counter.watching(), ExitStack() as stack:
            one = batch(model, tokens, samples, unequal)
            sites = find_projections(model, PROJECTIONS)
            engine = stack.enter_context(Engine(model, sites, workers=1))
            if context is not None:
                stack.enter_context(context)
            before = counter.counts
            engine.measure(one)
            found.append(counter.counts - before)
    return found[0] - found[1]


@contextmanager
def each_layer_alone() -> Iterator[None]:
    """Inside the block no layer waits for the next, as where memory is short."""
    with mock.patch.object(cuda, "WAITING_BYTES", 0):
        yield


def rows_of_table(tokens: int, unequal: bool, alone: bool) -> list[Counts]:
    """Return the counts for each of `numbers`."""
    with PretendedDevices():
        model = small_llama()
    with each_layer_alone() if alone else nullcontext():
        return [counted(model, tokens, samples, unequal) for samples in numbers(unequal)]


def numbers(unequal: bool) -> Sequence[int]:
    """Return the numbers of samples to compare: one alone has no length that is unlike another."""
    return SAMPLES[1:] if unequal else SAMPLES


def broken(found: Sequence[Counts]) -> list[str]:
    """Say which of the bounds do not hold for counts of growing numbers of samples."""
    launches = [counts.launches / LAYERS for counts in found]
    said = []
    if max(launches) > MOST_LAUNCHES:
        said.append(f"{max(launches):.0f} launches a layer, at most {MOST_LAUNCHES}")
    if max(launches) > (1 + SPREAD) * min(launches):
        said.append(f"{min(launches):.0f} to {max(launches):.0f} launches as samples grow")
    if any(counts.waits_in_backward for counts in found):
        said.append("waits inside the backward pass")
    if max(counts.waits for counts in found) > MOST_WAITS:
        said.append(f"more than {MOST_WAITS} waits a batch")
    return said


CASES = [
    (tokens, unequal, alone)
    for alone in (False, True)
    for tokens in (20, 100)
    for unequal in (False, True)
]
HEAD = """\
| layers | tokens | samples | launches a layer | waits in the backward pass | waits a batch |
|---|---|---|---|---|---|"""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return 1 where a bound does not hold."""
    argparse.ArgumentParser("python -m benchmarks.launches", description=__doc__).parse_args(argv)
    print(HEAD)
    status = 0
    for tokens, unequal, alone in CASES:
        found = rows_of_table(tokens, unequal, alone)
        lengths = f"{round(SHORTEST * tokens)}–{tokens}" if unequal else f"{tokens}"
        for samples, counts in zip(numbers(unequal), found, strict=True):
            cells = (
                *("alone" if alone else "together", lengths, samples),
                *(f"{counts.launches / LAYERS:.1f}", counts.waits_in_backward, counts.waits),
            )
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
        for said in broken(found):
            print(f"\n**{said}**\n")
            status = 1
    return status


if __name__ == "__main__":
    raise SystemExit(main())
