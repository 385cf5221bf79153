"""Eigenvalues of many symmetric matrices on a device, by the fastest of `eigenvalue_ways`.

Which one wins depends on the card, on the size and on what is installed. So the ways are timed once
per device and size, before the first pass that brings such a size; one that is off is left out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from gradsweep.engine.out_of_memory import is_out_of_memory
from gradsweep.engine.spectra.backends import trials
from gradsweep.engine.spectra.backends.eigenvalue_ways import (
    Eigenvalues,
    Way,
    batch_elements,
    by_cusolver,
    by_torch,
    by_two_stages,
    finished,
    solved_by,
    ways,
)
from gradsweep.engine.spectra.backends.transfers import to_host

log = logging.getLogger("gradsweep")

TRIAL_MATRICES = 128
"""q, k, v and o of 32 layers: which way wins depends on how many there are (docs/benchmarks.md)."""

MANY_MATRICES = 1024
"""The same of 8 samples: half as many have the way that these are solved by."""

AGREEMENT = 1e-12
"""How far ways may differ, as a share of the largest eigenvalue."""


class StartedEigenvalues:
    """Eigenvalues of stacks of matrices, each stack of one size."""

    def __init__(self, stacks: Sequence[Tensor]) -> None:
        """Start on all of them (batch×n×n, float64), matrices of one size together.

        One whose trace is not finite becomes zeros: no solver is asked for what it cannot find.
        """
        self._sizes = [(stack.shape[-1], len(stack)) for stack in stacks]
        of_size: dict[int, list[Tensor]] = {}
        for stack in stacks:
            of_size.setdefault(stack.shape[-1], []).append(stack)
        self._solving = {
            n: way_for(alike[0].device, n, sum(map(len, alike)))(_solvable(alike))
            for n, alike in of_size.items()
        }
        self.nbytes = sum(part.nbytes for parts in self._solving.values() for part in parts)

    @property
    def on_device(self) -> list[Tensor]:
        """What `finished` needs to have been fetched."""
        parts = (part for of_size in self._solving.values() for part in of_size)
        return [tensor for part in parts for tensor in part.on_device]

    def finished(self, fetched: Iterable[np.ndarray]) -> Iterator[np.ndarray | None]:
        """Yield the eigenvalues of every matrix, stack after stack.

        Args:
            fetched: the values of `on_device`.
        """
        arrays = iter(fetched)
        of_size = {
            n: iter([found for part in parts for found in finished(part, arrays)])
            for n, parts in self._solving.items()
        }
        for n, count in self._sizes:
            yield from (next(of_size[n]) for _ in range(count))


def _solvable(stacks: Sequence[Tensor]) -> Tensor:
    together = torch.cat(list(stacks))
    traces = together.diagonal(dim1=1, dim2=2).sum(1)
    return together.masked_fill_(~(traces < torch.inf)[:, None, None], 0.0)


def eigvalsh(matrices: Sequence[Tensor]) -> Eigenvalues:
    """Solve each matrix (n×n, float64, any sizes) and wait for that, in the order given."""
    of_size: dict[int, list[int]] = {}
    for place, matrix in enumerate(matrices):
        of_size.setdefault(len(matrix), []).append(place)
    started = StartedEigenvalues(
        [torch.stack([matrices[i] for i in places]) for places in of_size.values()]
    )
    solved = started.finished(to_host(started.on_device))
    found: Eigenvalues = [None] * len(matrices)
    for place in (place for places in of_size.values() for place in places):
        found[place] = next(solved)
    return found


def size_class(n: int) -> int:
    """The power of two from n on: sizes of one class share their trial."""
    return 1 << max(n - 1, 0).bit_length()


def way_for(device: torch.device, n: int, matrices: int) -> Way:
    """Return the fastest way for so many n×n matrices."""
    is_many = matrices >= MANY_MATRICES // 2
    return (fastest_of_many if is_many else fastest_way)(device, size_class(n))


@lru_cache
def fastest_way(device: torch.device, n: int) -> Way:
    """Find the fastest right one of `ways` on random n×n matrices; a GPU's is kept on disk."""
    return _tried(device, n, ways(device, n), TRIAL_MATRICES, str(n))


@lru_cache
def fastest_of_many(device: torch.device, n: int) -> Way:
    """Find the fastest of those that solve matrices side by side: which wins depends on how many
    there are. Loops, over matrices or cores, are as fast for many as for few."""
    fastest = fastest_way(device, n)
    rivals = [way for way in ways(device, n) if way in (by_two_stages, by_cusolver)]
    if fastest not in rivals or batch_elements(device) // n**2 <= TRIAL_MATRICES:
        return fastest
    return _tried(device, n, rivals, MANY_MATRICES, f"{n}, many")


def _tried(device: torch.device, n: int, some: Sequence[Way], count: int, name: str) -> Way:
    few = _grams(device, n, 2)
    known = solved_by(by_torch, few.clone())
    before = {way.__name__: way for way in some}.get(trials.kept(device, name) or "")
    if before is not None and _is_right(before, few, known):
        return before
    right = [way for way in some if _is_right(way, few, known)]
    wanted = max(1, min(count, batch_elements(device) // n**2))
    fastest, solved = _fastest(right, device, n, wanted)
    # What a lack of memory or a broken installation decides here is not so everywhere.
    if device.type == "cuda" and len(right) == len(some) and solved == wanted:
        trials.keep(device, name, fastest.__name__)
    return fastest


def _fastest(some: Sequence[Way], device: torch.device, n: int, count: int) -> tuple[Way, int]:
    """Time them on `count` matrices, or on as many as there is memory for; and return how many."""
    while count:
        try:
            trial = _grams(device, n, count)
            return min(some, key=lambda way: _seconds(way, trial)), count
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        count //= 2
    return by_torch, 0


def _grams(device: torch.device, n: int, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    factors = torch.empty(count, n, n, dtype=torch.float64, device="cpu").normal_(
        generator=generator
    )
    there = factors.to(device)
    return there @ there.mT


def _is_right(way: Way, matrices: Tensor, known: Eigenvalues) -> bool:
    """Whether it runs and agrees with what is known: kernels are compiled on the spot, by versions
    and for cards that nobody has seen here."""
    try:
        found = solved_by(way, matrices.clone())
    except Exception as reason:
        log.warning("eigenvalues go on without %s, which fails: %s", way.__name__, reason)
        return False
    if all(_agree(own, true) for own, true in zip(found, known, strict=True)):
        return True
    log.warning("eigenvalues go on without %s: it is wrong on %s", way.__name__, matrices.device)
    return False


def _agree(found: np.ndarray | None, known: np.ndarray | None) -> bool:
    if found is None or known is None:
        return found is known
    return bool(abs(found - known).max() <= AGREEMENT * abs(known).max())


def _seconds(way: Way, trial: Tensor) -> float:
    """Of a way that has run before: the first time loads libraries. It ends on the host."""
    start = time.perf_counter()
    solved_by(way, trial.clone())
    return time.perf_counter() - start
