"""Spectra on CUDA, by torch: layers that wait for each other are started on together, and what a
batch has is fetched when its backward pass is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from gradsweep.config import Solver
from gradsweep.engine.batch import Layout
from gradsweep.engine.factors import Factors, split_units
from gradsweep.engine.spectra.backend import JITTER, Item, LayerSpectra, Value
from gradsweep.engine.spectra.backends import gram_products, lapack
from gradsweep.engine.spectra.backends.eigenvalue_ways import Eigenvalues, batch_elements
from gradsweep.engine.spectra.backends.eigenvalues import eigvalsh, fastest_of_many, size_class
from gradsweep.engine.spectra.backends.stacked import StartedStacks, factor_bytes, head_elements
from gradsweep.engine.spectra.matrix import matrix_spectra
from gradsweep.engine.spectra.routes import gram_size, many_spectra
from gradsweep.engine.spectra.spectrum import Spectrum

WAITING_BYTES = 5 * 2**28
"""Most bytes of factors that are kept until their layers are started on together; on a small device
half of `most_started_bytes`."""

FEW_MATRICES = 128
"""Fewer leave a part of a large GPU idle while eigenvalues are found."""

STARTED_BYTES = 2**32
"""Most bytes of factors, and of matrices that the host solves, that are kept while a backward pass
goes on. They are a sixth and less of the activations that it frees."""

SHARE_OF_DEVICE = 16
"""The same as a part of a device's memory, where that is less."""


class _SafeLayers:
    """Spectra that nothing was started on: the safe path waits for the device at every step."""

    def arrived(self) -> None:
        """There is nothing to wait for."""

    def __init__(
        self, layers: Sequence[Sequence[Factors]], layout: Layout, units: Sequence[int]
    ) -> None:
        self._layers, self._layout, self._units = layers, layout, units
        self.nbytes = sum(factor_bytes(factors) for layer in layers for factors in layer)

    def spectra(self, backend: CudaBackend) -> LayerSpectra:
        return [self._of_layer(layer, backend) for layer in self._layers]

    def _of_layer(
        self, layer: Sequence[Factors], backend: CudaBackend
    ) -> list[dict[str, Spectrum]]:
        spectra: list[dict[str, Spectrum]] = [{} for _ in self._units]
        for factors in layer:
            split = list(split_units(factors, self._layout))
            inputs = [(split[unit].x, split[unit].dy) for unit in self._units]
            found = many_spectra(inputs, backend, Solver.svd, factors.heads)
            for own, of_input in zip(spectra, found, strict=True):
                own |= of_input
        return spectra


class CudaBackend:
    """Torch on the device; only singular values come back."""

    def __init__(self, device: torch.device | None = None) -> None:
        self._device = device

    def start_layers(
        self,
        layers: Sequence[Sequence[Factors]],
        layout: Layout,
        units: Sequence[int],
        solver: Solver,
    ) -> StartedStacks | _SafeLayers:
        """Everything together but what `svd` is forced on, as `Backend` says."""
        if solver is Solver.svd:
            return _SafeLayers(layers, layout, units)
        most = batch_elements(layers[0][0].x.device)
        return StartedStacks(layers, layout, units, solver, most)

    def finish_layers(self, started: Sequence[StartedStacks | _SafeLayers]) -> list[LayerSpectra]:
        for one in started[-1:]:  # the others are there, too, once it is
            one.arrived()
        return [one.spectra(self) for one in started]

    def has_room(self, started: Sequence[StartedStacks | _SafeLayers]) -> bool:
        return sum(one.nbytes for one in started) <= most_started_bytes(self._device)

    def spectra_of_matrices(self, matrices: Sequence[Tensor], solver: Solver) -> list[Spectrum]:
        """Solve as many together as there is memory for, as `Backend` says."""
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
        with_next = len(layers) + 1
        units = with_next * len(layout.unit_rows)
        most = batch_elements(last[0].x.device)
        if units * len(shapes) <= FEW_MATRICES:  # wide ones, too, are solved at once
            most *= 2
        kept = sum(map(factor_bytes, last))
        may_wait = min(WAITING_BYTES, most_started_bytes(self._device) // 2)
        return units * elements <= most and with_next * kept <= may_wait

    def spread(
        self, function: Callable[[Item], Value], items: Iterable[Item], flops: float
    ) -> Iterator[Value]:
        return map(function, items)

    def prepare(self, sizes: Iterable[int]) -> None:
        """Time the ways to products, and to eigenvalues of the size classes that are new."""
        device = self._device or torch.device("cuda", torch.cuda.current_device())
        gram_products.fastest_way(device)
        for n in {size_class(size) for size in sizes}:
            fastest_of_many(device, n)  # tries few, too

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

    def gram_eigvalsh(self, many: Sequence[Tensor]) -> Eigenvalues:
        wide = [a if a.shape[0] <= a.shape[1] else a.T for a in many]
        return eigvalsh([a @ a.T for a in wide])

    def eigvals(self, a: Tensor) -> np.ndarray | None:
        return lapack.eigvals(a.cpu().numpy())  # a GPU is no faster at what is not symmetric

    def svdvals(self, a: Tensor) -> np.ndarray:
        return torch.linalg.svdvals(a).cpu().numpy()

    def r_factor(self, a: Tensor) -> Tensor:
        return torch.linalg.qr(a, mode="r").R


def _longest_unit(layout: Layout) -> int:
    lengths = [stop - start for start, stop in layout.spans]
    return max(sum(lengths[row] for row in rows) for rows in layout.unit_rows)


def most_started_bytes(device: torch.device | None) -> int:
    """Return how much may be kept for spectra that are not finished, on this device."""
    if device is None or device.type != "cuda":
        return STARTED_BYTES
    have = torch.cuda.get_device_properties(device).total_memory
    return min(STARTED_BYTES, have // SHARE_OF_DEVICE)
