"""Float64 linear algebra for small matrices: one contract, a backend for CPU and one for CUDA.

On the CPU it is NumPy's: its `a @ a.T` is a symmetric product at half the flops, and OpenBLAS
finds the eigenvalues of a 450×450 matrix in 9 ms where MKL takes 15 (one AMD core).
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

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

    def cholesky(self, a: Array) -> Array:
        """Lower triangular L with LLᵀ = a + 1e-14·mean(diagonal): see `solve`."""
        ...

    def eigvalsh(self, a: Array) -> np.ndarray:
        """Eigenvalues of a symmetric matrix, ascending, on the CPU."""
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

    def cholesky(self, a: np.ndarray) -> np.ndarray:
        # MKL's factorisation is three times as fast as the one that NumPy calls.
        return _jittered_cholesky(torch.from_numpy(a)).numpy()

    def eigvalsh(self, a: np.ndarray) -> np.ndarray:
        return np.linalg.eigvalsh(a)

    def svdvals(self, a: np.ndarray) -> np.ndarray:
        return np.linalg.svd(a, compute_uv=False)

    def r_factor(self, a: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.qr(a, mode="r"))


class CudaLinalg:
    """Torch on the device; only singular values come back."""

    def float64(self, values: Tensor) -> Tensor:
        return values.to(torch.float64)

    def cholesky(self, a: Tensor) -> Tensor:
        return _jittered_cholesky(a)

    def eigvalsh(self, a: Tensor) -> np.ndarray:
        return torch.linalg.eigvalsh(a).cpu().numpy()

    def svdvals(self, a: Tensor) -> np.ndarray:
        return torch.linalg.svdvals(a).cpu().numpy()

    def r_factor(self, a: Tensor) -> Tensor:
        return torch.linalg.qr(a, mode="r").R


def linalg_for(device: torch.device) -> Linalg:
    return CpuLinalg() if device.type == "cpu" else CudaLinalg()


def _jittered_cholesky(a: Tensor) -> Tensor:
    a = a.clone()
    a.diagonal().add_(1e-14 * a.diagonal().mean())
    return torch.linalg.cholesky(a)
