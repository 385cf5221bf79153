"""Spectra on CUDA, by torch. Eigenvalues of many symmetric matrices go the fastest of three ways.

Which one wins depends on the card, on the size and on torch: its batched solver loops over the
matrices one at a time for n > 32 (2.11 still does), cuSOLVER's own needs CUDA 12.6, and a card with
little float64 loses to the host. So the ways are timed once per device and size, before the first
pass that brings such a size.
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
from gradsweep.engine.spectra.backends import cusolver, lapack
from gradsweep.engine.spectra.backends.stacked import head_elements, stacked_spectra
from gradsweep.engine.spectra.matrix import matrix_spectra
from gradsweep.engine.spectra.routes import gram_size, many_spectra
from gradsweep.engine.spectra.spectrum import Spectrum

BATCH_ELEMENTS = 2**26
"""Most elements (of 8 bytes) of a batch: cuSOLVER's workspace is four times as large, and 64
matrices of 2048×2048 at a time ran out of memory."""

BATCH_MATRICES = 1024
"""Most matrices of a batch: the workspace of each has another megabyte, however small it is."""

BYTES_OF_DEVICE = 256
"""Of a device's memory for each element of a batch, where that makes fewer."""

WAITING_BYTES = 2**30
"""Most bytes of factors that are kept until their layers are solved together."""

TRIAL_MATRICES = 32
"""A few layers' worth: side by side, more matrices take hardly longer."""

Eigenvalues = list[np.ndarray | None]
"""Ascending, on the CPU, one for each matrix; None where they do not converge."""

Way = Callable[[Sequence[Tensor]], Eigenvalues]
"""Takes float64 matrices of one size, of which only the lower triangle counts."""


class CudaBackend:
    """Torch on the device; only singular values come back."""

    def __init__(self, device: torch.device | None = None) -> None:
        self._device = device

    def spectra_of_layers(
        self,
        layers: Sequence[Sequence[Factors]],
        layout: Layout,
        units: Sequence[int],
        solver: Solver,
    ) -> list[list[dict[str, Spectrum]]]:
        """Everything together but what `svd` is forced on, as `Backend` says."""
        if solver is Solver.svd:
            return [self._layer_spectra(layer, layout, units) for layer in layers]
        most = batch_elements(layers[0][0].x.device)
        return stacked_spectra(layers, layout, units, solver, self, most)

    def spectra_of_matrices(self, matrices: Sequence[Tensor], solver: Solver) -> list[Spectrum]:
        """As many together as there is memory for, as `Backend` says."""
        if not matrices:
            return []
        largest = max(matrix.numel() for matrix in matrices)
        at_a_time = max(1, batch_elements(matrices[0].device) // largest)
        return [
            spectrum
            for start in range(0, len(matrices), at_a_time)
            for spectrum in matrix_spectra(matrices[start : start + at_a_time], self, solver)
        ]

    def awaits_more(
        self, layers: Sequence[Sequence[Factors]], layout: Layout, solver: Solver
    ) -> bool:
        if solver is Solver.svd:
            return False
        last, tokens = layers[-1], _longest_unit(layout)
        shapes = [(dy.shape[-1], of.x.shape[-1]) for of in last for dy in of.dy.values()]
        elements = sum(gram_size(tokens, m, n, solver) ** 2 for m, n in shapes)
        elements += sum(head_elements(of) for of in last)
        kept = sum(t.nbytes for of_input in last for t in (of_input.x, *of_input.dy.values()))
        with_next = len(layers) + 1
        fits = with_next * elements * len(layout.unit_rows) <= batch_elements(last[0].x.device)
        return fits and with_next * kept <= WAITING_BYTES

    def _layer_spectra(
        self, layer: Sequence[Factors], layout: Layout, units: Sequence[int]
    ) -> list[dict[str, Spectrum]]:
        spectra: list[dict[str, Spectrum]] = [{} for _ in units]
        for factors in layer:
            split = list(split_units(factors, layout))
            inputs = [(split[unit].x, split[unit].dy) for unit in units]
            found = many_spectra(inputs, self, Solver.svd, factors.heads)
            for own, of_input in zip(spectra, found, strict=True):
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

    def eigvals(self, a: Tensor) -> np.ndarray | None:
        return lapack.eigvals(a.cpu().numpy())  # a GPU is no faster at what is not symmetric

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
    """Of `ways`, on random n×n matrices."""
    generator = torch.Generator().manual_seed(0)
    count = max(1, min(TRIAL_MATRICES, batch_elements(device) // n**2))
    factors = torch.randn(count, n, n, dtype=torch.float64, generator=generator).to(device)
    trial = list(factors @ factors.mT)
    return min(ways(device), key=lambda way: _seconds(way, trial))


def ways(device: torch.device) -> list[Way]:
    """Return those that the device has."""
    side_by_side = [by_cusolver] if cusolver.is_available(device) else []
    return [*side_by_side, by_torch, on_host]


def batch_elements(device: torch.device) -> int:
    """Return the most elements of a batch on this device."""
    if device.type != "cuda":
        return BATCH_ELEMENTS
    have = torch.cuda.get_device_properties(device).total_memory
    return min(BATCH_ELEMENTS, have // BYTES_OF_DEVICE)


def _longest_unit(layout: Layout) -> int:
    lengths = [stop - start for start, stop in layout.spans]
    return max(sum(lengths[row] for row in rows) for rows in layout.unit_rows)


def _seconds(way: Way, trial: Sequence[Tensor]) -> float:
    """The second time: the first one, of two matrices, loads libraries."""
    way(trial[:2])
    start = time.perf_counter()
    way(trial)  # ends on the host, so there is nothing to synchronise
    return time.perf_counter() - start


def by_cusolver(matrices: Sequence[Tensor]) -> Eigenvalues:
    """One call of cuSOLVER's batched solver for as many as fit."""
    return _in_parts(_cusolver, matrices)


def by_torch(matrices: Sequence[Tensor]) -> Eigenvalues:
    """One call of torch's batched solver for as many as fit."""
    return _in_parts(_torch, matrices)


def _cusolver(matrices: Sequence[Tensor]) -> Eigenvalues:
    try:
        eigenvalues, failed = cusolver.eigvalsh(torch.stack(list(matrices)))
    except cusolver.CusolverError:
        return _torch(matrices)
    both = torch.cat([eigenvalues, failed[:, None].double()], dim=1).cpu().numpy()
    return [None if own[-1] else own[:-1] for own in both]


def _torch(matrices: Sequence[Tensor]) -> Eigenvalues:
    try:
        return list(torch.linalg.eigvalsh(torch.stack(list(matrices))).cpu().numpy())
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return on_host(matrices)  # one bad matrix fails the whole batch


def _in_parts(solve: Way, matrices: Sequence[Tensor]) -> Eigenvalues:
    return [found for part in _parts(matrices) for found in _halved(solve, part)]


def _halved(solve: Way, matrices: Sequence[Tensor]) -> Eigenvalues:
    """Fewer at a time where the workspace does not fit beside a model and its activations."""
    try:
        return solve(matrices)
    except torch.OutOfMemoryError:
        if len(matrices) == 1:
            raise
    middle = len(matrices) // 2
    return [*_halved(solve, matrices[:middle]), *_halved(solve, matrices[middle:])]


def on_host(matrices: Sequence[Tensor]) -> Eigenvalues:
    """Copied to the host and solved there, one matrix a core."""
    copied = (torch.stack(list(part)).cpu().numpy() for part in _parts(matrices))
    return [found for part in copied for found in _host_threads().map(lapack.converged, part)]


def _parts(matrices: Sequence[Tensor]) -> Iterator[Sequence[Tensor]]:
    fit = batch_elements(matrices[0].device) // len(matrices[0]) ** 2
    at_a_time = max(1, min(fit, BATCH_MATRICES))
    return (matrices[i : i + at_a_time] for i in range(0, len(matrices), at_a_time))


@lru_cache(maxsize=1)
def _host_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="eigenvalues")
