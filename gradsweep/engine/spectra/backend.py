"""The contract of a backend: float64 linear algebra where the factors lie, and how the spectra of
layers are laid out over what computes there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from gradsweep.config import Solver
from gradsweep.engine.batch import Layout
from gradsweep.engine.factors import Factors
from gradsweep.engine.spectra.spectrum import Spectrum

JITTER = 1e-14
"""Of a matrix's mean diagonal, added to the diagonal before the Cholesky factorisation."""

Array = Any
"""A float64 matrix or vector of the backend: `np.ndarray` or a CUDA `Tensor`."""

Started = Any
"""Spectra of layers on their way, as the backend keeps them."""

LayerSpectra = list[list[dict[str, Spectrum]]]
"""Of each layer, for each unit that was asked for: projection -> spectrum."""

Item = TypeVar("Item")
Value = TypeVar("Value")

LinAlgError: tuple[type[Exception], ...] = (
    np.linalg.LinAlgError,
    torch.linalg.LinAlgError,  # type: ignore[attr-defined]
)
"""What a factorisation raises when it breaks down."""


@runtime_checkable
class Backend(Protocol):
    """One kind of device. Arrays support `@`, `*`, `.sum`, `.T` and `.ravel`."""

    def start_layers(
        self,
        layers: Sequence[Sequence[Factors]],
        layout: Layout,
        units: Sequence[int],
        solver: Solver,
    ) -> Started:
        """Start on the spectra of each layer's projections, for each of `units` in that order,
        without waiting for a device.

        Args:
            layers: the factors of a whole batch, one for each distinct input of a layer.
            layout: which tokens are whose.
            units: the places of the units that are wanted.
            solver: the route, or `auto`.
        """
        ...

    def finish_layers(self, started: Sequence[Started]) -> list[LayerSpectra]:
        """Return the spectra of each start, in the order in which they were, all on one device,
        which is waited for once."""
        ...

    def has_room(self, started: Sequence[Started]) -> bool:
        """Return whether a backward pass may go on before the first of these is finished."""
        ...

    def spectra_of_matrices(self, matrices: Sequence[Tensor], solver: Solver) -> list[Spectrum]:
        """Return the spectra of gradients (m×n, any sizes) that exist as matrices, in order."""
        ...

    def awaits_more(
        self, layers: Sequence[Sequence[Factors]], layout: Layout, solver: Solver
    ) -> bool:
        """Return whether these layers take less time together with the next one, and there is
        memory for that.
        """
        ...

    def spread(
        self, function: Callable[[Item], Value], items: Iterable[Item], flops: float
    ) -> Iterator[Value]:
        """Map a function of the host over items, each about so many flops of a matrix product."""
        ...

    def prepare(self, sizes: Iterable[int]) -> None:
        """Do, before a pass, what eigenvalue problems of these sizes need to have been done."""
        ...

    def float64(self, values: Tensor) -> Array: ...

    def moved(self, a: Array, device: torch.device) -> Array:
        """Return the array on that device; itself where it lies there already."""
        ...

    def scalars(self, *values: Array) -> list[float]:
        """Return arrays of one element as floats, in one transfer."""
        ...

    def cholesky(self, a: Array) -> Array:
        """Return L in the lower triangle, with LLᵀ = a + JITTER·mean(diagonal): see `routes`."""
        ...

    def congruence(self, lower: Array, h: Array) -> Array:
        """Return LᵀHL of a symmetric H, in the lower triangle at least."""
        ...

    def eigvalsh(self, many: Sequence[Array]) -> list[np.ndarray | None]:
        """Return eigenvalues of symmetric matrices from their lower triangles, ascending, on the
        CPU; None where they do not converge.
        """
        ...

    def gram_eigvalsh(self, many: Sequence[Array]) -> list[np.ndarray | None]:
        """Return eigenvalues of the smaller of AAᵀ and AᵀA of each A (any shape), as `eigvalsh`."""
        ...

    def eigvals(self, a: Array) -> np.ndarray | None:
        """Return eigenvalues of any square matrix, complex and in no order, on the CPU; None where
        they do not converge or the matrix is not finite.
        """
        ...

    def svdvals(self, a: Array) -> np.ndarray:
        """Return singular values, descending, on the CPU."""
        ...

    def r_factor(self, a: Array) -> Array:
        """Return R of a = QR."""
        ...
