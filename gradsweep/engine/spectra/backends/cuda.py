"""Spectra on CUDA, by torch. Eigenvalues of many symmetric matrices go the fastest of three ways.

Which one wins depends on the card, on the size and on torch: its batched solver looped over the
matrices one at a time for n > 32 up to 2.10, and a card with little float64 loses to the host.
So the ways are timed once per device and size, before the first pass that brings such a size.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from gradsweep.config import Solver
from gradsweep.engine.batch import Layout
from gradsweep.engine.factors import Factors, split_units
from gradsweep.engine.spectra.backend import JITTER, Item, Value
from gradsweep.engine.spectra.backends import lapack
from gradsweep.engine.spectra.routes import many_spectra
from gradsweep.engine.spectra.spectrum import Spectrum

BATCH_ELEMENTS = 2**26
"""Most elements (of 8 bytes) of a batch: cuSOLVER's workspace is several times as large, and 64
matrices of 2048×2048 at a time ran out of memory."""

TRIAL_MATRICES = 8

Eigenvalues = list[np.ndarray | None]
"""Ascending, on the CPU, one for each matrix; None where they do not converge."""

Way = Callable[[Sequence[Tensor]], Eigenvalues]
"""Takes float64 matrices of one size, of which only the lower triangle counts."""


class CudaBackend:
    """Torch on the device; only singular values come back."""

    def __init__(self, device: torch.device | None = None) -> None:
        self._device = device

    def layer_spectra(
        self, layer: Sequence[Factors], layout: Layout, units: Sequence[int], solver: Solver
    ) -> list[dict[str, Spectrum]]:
        """The eigenvalues of each input's projections together, as `Backend` says."""
        spectra: list[dict[str, Spectrum]] = [{} for _ in units]
        for factors in layer:
            split = list(split_units(factors, layout))
            inputs = [(split[unit].x, split[unit].dy) for unit in units]
            for own, of_input in zip(spectra, many_spectra(inputs, self, solver), strict=True):
                own |= of_input
        return spectra

    def spread(
        self, function: Callable[[Item], Value], items: Iterable[Item], flops: float
    ) -> Iterator[Value]:
        return map(function, items)

    def prepare(self, sizes: Iterable[int]) -> None:
        """Time the ways for the size classes that have not been timed on this device."""
        device = self._device or torch.device("cuda", torch.cuda.current_device())
        for n in {size_class(size) for size in sizes}:
            fastest_way(device, n)

    def float64(self, values: Tensor) -> Tensor:
        return values.to(torch.float64)

    def moved(self, a: Tensor, device: torch.device) -> Tensor:
        return a.to(device)

    def scalars(self, *values: Tensor) -> list[float]:
        return list(torch.stack(values).tolist())

    def cholesky(self, a: Tensor) -> Tensor:
        jittered = a.clone()
        jittered.diagonal().add_(JITTER * a.diagonal().mean())
        return torch.linalg.cholesky(jittered)

    def congruence(self, lower: Tensor, h: Tensor) -> Tensor:
        return lower.T @ h @ lower

    def eigvalsh(self, many: Sequence[Tensor]) -> Eigenvalues:
        return eigvalsh(many)

    def svdvals(self, a: Tensor) -> np.ndarray:
        return torch.linalg.svdvals(a).cpu().numpy()

    def r_factor(self, a: Tensor) -> Tensor:
        return torch.linalg.qr(a, mode="r").R


def eigvalsh(matrices: Sequence[Tensor]) -> Eigenvalues:
    """Solve each matrix (n×n, float64, any sizes), in the order given."""
    of_size: dict[int, list[int]] = {}
    for place, matrix in enumerate(matrices):
        of_size.setdefault(len(matrix), []).append(place)
    found: Eigenvalues = [None] * len(matrices)
    for n, places in of_size.items():
        device = matrices[places[0]].device
        solved = fastest_way(device, size_class(n))([matrices[i] for i in places])
        for place, eigenvalues in zip(places, solved, strict=True):
            found[place] = eigenvalues
    return found


def size_class(n: int) -> int:
    """The power of two from n on: sizes of one class share their trial."""
    return 1 << max(n - 1, 0).bit_length()


@lru_cache
def fastest_way(device: torch.device, n: int) -> Way:
    """Of `batched`, `one_by_one` and `on_host`, on random n×n matrices."""
    generator = torch.Generator().manual_seed(0)
    count = max(1, min(TRIAL_MATRICES, BATCH_ELEMENTS // n**2))
    factors = torch.randn(count, n, n, dtype=torch.float64, generator=generator)
    trial = list((factors @ factors.mT).to(device))
    return min((batched, one_by_one, on_host), key=lambda way: _seconds(way, trial))


def _seconds(way: Way, trial: Sequence[Tensor]) -> float:
    """The second time: the first one loads libraries."""
    way(trial)
    start = time.perf_counter()
    way(trial)  # ends on the host, so there is nothing to synchronise
    return time.perf_counter() - start


def batched(matrices: Sequence[Tensor]) -> Eigenvalues:
    """One call of the device's batched solver for as many as fit."""
    n = len(matrices[0])
    at_a_time = max(1, BATCH_ELEMENTS // n**2)
    found: Eigenvalues = []
    for start in range(0, len(matrices), at_a_time):
        part = matrices[start : start + at_a_time]
        try:
            found += list(torch.linalg.eigvalsh(torch.stack(list(part))).cpu().numpy())
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            found += on_host(part)  # one bad matrix fails the whole batch
    return found


def one_by_one(matrices: Sequence[Tensor]) -> Eigenvalues:
    """One call of the device's solver for each."""
    return [eigenvalues for matrix in matrices for eigenvalues in batched([matrix])]


def on_host(matrices: Sequence[Tensor]) -> Eigenvalues:
    """Copied to the host and solved there, one matrix a core."""
    return list(
        _host_threads().map(lapack.converged, [matrix.cpu().numpy() for matrix in matrices])
    )


@lru_cache(maxsize=1)
def _host_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="eigenvalues")
