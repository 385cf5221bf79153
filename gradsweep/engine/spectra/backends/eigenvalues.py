"""Eigenvalues of many symmetric matrices on a device, the fastest of four ways.

Which one wins depends on the card, on the size and on what is installed: our kernels need Triton,
cuSOLVER's CUDA 12.6, torch's loops over the matrices one at a time for n > 32 (2.11
still does), and a card with little float64 loses to the host. So the ways are timed once per device
and size, before the first pass that brings such a size; one that is off is left out.

None makes the backward pass wait: what kernels and cuSOLVER find is sent while the device goes on,
the host's cores solve meanwhile, and torch's solver is called when that is asked for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from gradsweep.cores import usable_cores
from gradsweep.engine.spectra.backends import cusolver, lapack, trials, two_stage
from gradsweep.engine.spectra.backends.transfers import sent_to_host, to_host

log = logging.getLogger("gradsweep")

BATCH_ELEMENTS = 2**26
"""Most elements (of 8 bytes) of a batch: cuSOLVER's workspace is four times as large, and 64
matrices of 2048×2048 at a time ran out of memory."""

BATCH_MATRICES = 1024
"""Most matrices of a batch: the workspace of each has another megabyte, however small it is."""

BYTES_OF_DEVICE = 256
"""Of a device's memory for each element of a batch, where that makes fewer."""

TRIAL_MATRICES = 128
"""q, k, v and o of 32 layers: which way wins depends on how many there are (docs/benchmarks.md)."""

MANY_MATRICES = 1024
"""The same of 8 samples: half as many have the way that these are solved by."""

AGREEMENT = 1e-12
"""How far ways may differ, as a share of the largest eigenvalue."""

Eigenvalues = list[np.ndarray | None]
"""Ascending, on the host, one for each matrix; None where they do not converge."""


@dataclass(frozen=True)
class Solving:
    """Eigenvalues of some matrices of one size, on their way: one of two ends is given."""

    on_device: tuple[Tensor, ...] = ()
    """(batch×n), ascending, and (batch), what is not 0 where there are none."""
    wait: Callable[[], Eigenvalues] | None = None
    """Returns them, and waits for that."""
    nbytes: int = 0
    """Memory that is held until then, of the device or the host."""


Way = Callable[[Tensor], list[Solving]]
"""Starts on float64 matrices (batch×n×n), of which only the lower triangle counts; they may be
overwritten."""


class StartedEigenvalues:
    """Those of stacks of matrices, each stack of one size."""

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
            n: iter([found for part in parts for found in _finished(part, arrays)])
            for n, parts in self._solving.items()
        }
        for n, count in self._sizes:
            yield from (next(of_size[n]) for _ in range(count))


def _solvable(stacks: Sequence[Tensor]) -> Tensor:
    together = torch.cat(list(stacks))
    traces = together.diagonal(dim1=1, dim2=2).sum(1)
    return together.masked_fill_(~(traces < torch.inf)[:, None, None], 0.0)


def _finished(part: Solving, fetched: Iterator[np.ndarray]) -> Eigenvalues:
    if part.wait is not None:
        return part.wait()
    of_each = zip(next(fetched), next(fetched), strict=True)
    return [None if failed else own for own, failed in of_each]


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
    """Of `ways` that are right, on random n×n matrices; what a GPU has shown is kept on disk."""
    return _tried(device, n, ways(device, n), TRIAL_MATRICES, str(n))


@lru_cache
def fastest_of_many(device: torch.device, n: int) -> Way:
    """The same of those that have their matrices solved side by side: which wins depends on how
    many there are. Loops, over matrices or cores, are as fast for many as for few."""
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
    trial = _grams(device, n, max(1, min(count, batch_elements(device) // n**2)))
    fastest = min(right, key=lambda way: _seconds(way, trial))
    if device.type == "cuda":
        trials.keep(device, name, fastest.__name__)
    return fastest


def _grams(device: torch.device, n: int, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(count, n, n, dtype=torch.float64, generator=generator).to(device)
    return factors @ factors.mT


def ways(device: torch.device, n: int) -> list[Way]:
    """Return those that the device has for n×n matrices."""
    ours = device.type == "cuda" and two_stage.is_available() and n <= two_stage.LARGEST
    own = [by_two_stages] if ours else []
    library = [by_cusolver] if cusolver.is_available(device) else []
    return [*own, *library, by_torch, on_host]


def batch_elements(device: torch.device) -> int:
    """Return the most elements of a batch on this device."""
    if device.type != "cuda":
        return BATCH_ELEMENTS
    have = torch.cuda.get_device_properties(device).total_memory
    return min(BATCH_ELEMENTS, have // BYTES_OF_DEVICE)


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


def solved_by(way: Way, matrices: Float64[Tensor, "batch n n"]) -> Eigenvalues:
    """Return the eigenvalues by one of the ways, whose end is waited for."""
    started = way(matrices)
    fetched = iter(to_host([tensor for part in started for tensor in part.on_device]))
    return [found for part in started for found in _finished(part, fetched)]


def by_two_stages(matrices: Tensor) -> list[Solving]:
    """Our own kernels, for as many as fit."""
    return [Solving(two_stage.eigvalsh(some)) for some in _parts(matrices, 2)]


def by_cusolver(matrices: Tensor) -> list[Solving]:
    """One call of cuSOLVER's batched solver for as many as fit."""
    return [part for some in _parts(matrices) for part in _halved(some)]


def _halved(matrices: Tensor) -> list[Solving]:
    """Fewer at a time where the workspace does not fit beside a model and its activations."""
    try:
        return [Solving(cusolver.eigvalsh(matrices))]
    except cusolver.CusolverError:  # refused, and so not overwritten
        return by_torch(matrices)
    except torch.OutOfMemoryError:
        if len(matrices) == 1:
            raise
    middle = len(matrices) // 2
    return [*_halved(matrices[:middle]), *_halved(matrices[middle:])]


def by_torch(matrices: Tensor) -> list[Solving]:
    """Torch's batched solver, for as many as fit."""
    return [Solving(wait=partial(_torch, some), nbytes=some.nbytes) for some in _parts(matrices)]


def _torch(matrices: Tensor) -> Eigenvalues:
    try:
        return list(torch.linalg.eigvalsh(matrices).cpu().numpy())
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return solved_by(on_host, matrices)  # one bad matrix fails the whole batch
    except torch.OutOfMemoryError:
        if len(matrices) == 1:
            raise
    middle = len(matrices) // 2
    return [*_torch(matrices[:middle]), *_torch(matrices[middle:])]


def on_host(matrices: Tensor) -> list[Solving]:
    """Copied to the host and solved there, one matrix a core, as soon as they have arrived."""
    return [_on_host(some) for some in _parts(matrices)]


def _on_host(matrices: Tensor) -> Solving:
    arrived, threads = sent_to_host(matrices), _host_threads()

    def solved(place: int) -> np.ndarray | None:
        return lapack.converged(arrived()[place])

    solving = [threads.submit(solved, place) for place in range(len(matrices))]
    return Solving(wait=lambda: [one.result() for one in solving], nbytes=matrices.nbytes)


def _parts(matrices: Tensor, larger: int = 1) -> Iterator[Tensor]:
    """As many as fit, or `larger` times as many where less memory goes with each."""
    fit = larger * batch_elements(matrices.device) // matrices.shape[-1] ** 2
    return iter(matrices.split(max(1, min(fit, BATCH_MATRICES))))


@lru_cache(maxsize=1)
def _host_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(usable_cores(), thread_name_prefix="eigenvalues")
