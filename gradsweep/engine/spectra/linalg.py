"""Float64 linear algebra for small matrices: one contract, a backend for CPU and one for CUDA.

On the CPU it is NumPy and SciPy's LAPACK: `a @ a.T` is a symmetric product at half the flops,
and OpenBLAS finds the eigenvalues of a 450×450 matrix in 6.4 ms where MKL, torch's library,
takes 10 (one AMD core).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from gradsweep.engine.spectra import eigenvalues, lapack

JITTER = 1e-14
"""Of a matrix's mean diagonal, added to the diagonal before the Cholesky factorisation."""

Array = Any
"""A float64 matrix or vector of the backend: `np.ndarray` or a CUDA `Tensor`."""

LinAlgError: tuple[type[Exception], ...] = (
    np.linalg.LinAlgError,
    torch.linalg.LinAlgError,  # type: ignore[attr-defined]
)
"""What a factorisation raises when it breaks down."""


@runtime_checkable
class Linalg(Protocol):
    """What the routes need besides `@`, `*` and `.T`, which both kinds of array have."""

    def float64(self, values: Tensor) -> Array: ...

    def moved(self, a: Array, device: torch.device) -> Array:
        """The array on that device; itself where it lies there already."""
        ...

    def cholesky(self, a: Array) -> Array:
        """L in the lower triangle, with LLᵀ = a + JITTER·mean(diagonal): see `solve`."""
        ...

    def congruence(self, lower: Array, h: Array) -> Array:
        """LᵀHL of a symmetric H, in the lower triangle at least."""
        ...

    def eigvalsh(self, many: Sequence[Array]) -> list[np.ndarray | None]:
        """Eigenvalues of symmetric matrices from their lower triangles, ascending, on the CPU.

        None where they do not converge.
        """
        ...

    def svdvals(self, a: Array) -> np.ndarray:
        """Singular values, descending, on the CPU."""
        ...

    def r_factor(self, a: Array) -> Array:
        """R of a = QR."""
        ...


class CpuLinalg:
    """NumPy arrays that share memory with torch where the dtype allows it."""

    def float64(self, values: Tensor) -> np.ndarray:
        return values.to(torch.float64).numpy()

    def moved(self, a: np.ndarray, device: torch.device) -> np.ndarray:
        return a  # there is one CPU

    def cholesky(self, a: np.ndarray) -> np.ndarray:
        jittered = a.copy()
        np.einsum("ii->i", jittered)[:] += JITTER * a.trace() / len(a)
        return lapack.cholesky(jittered)

    def congruence(self, lower: np.ndarray, h: np.ndarray) -> np.ndarray:
        return lapack.congruence(lower, h)

    def eigvalsh(self, many: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        return [eigenvalues.converged(a) for a in many]

    def svdvals(self, a: np.ndarray) -> np.ndarray:
        return np.linalg.svd(a, compute_uv=False)

    def r_factor(self, a: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.qr(a, mode="r"))


class CudaLinalg:
    """Torch on the device; only singular values come back."""

    def float64(self, values: Tensor) -> Tensor:
        return values.to(torch.float64)

    def moved(self, a: Tensor, device: torch.device) -> Tensor:
        return a.to(device)

    def cholesky(self, a: Tensor) -> Tensor:
        jittered = a.clone()
        jittered.diagonal().add_(JITTER * a.diagonal().mean())
        return torch.linalg.cholesky(jittered)

    def congruence(self, lower: Tensor, h: Tensor) -> Tensor:
        return lower.T @ h @ lower

    def eigvalsh(self, many: Sequence[Tensor]) -> list[np.ndarray | None]:
        return eigenvalues.eigvalsh(many)

    def svdvals(self, a: Tensor) -> np.ndarray:
        return torch.linalg.svdvals(a).cpu().numpy()

    def r_factor(self, a: Tensor) -> Tensor:
        return torch.linalg.qr(a, mode="r").R


def linalg_for(device: torch.device) -> Linalg:
    return CpuLinalg() if device.type == "cpu" else CudaLinalg()
