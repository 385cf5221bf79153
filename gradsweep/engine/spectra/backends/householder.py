"""Eigenvalues of many symmetric matrices by kernels of our own: Householder's tridiagonal form of
each, then bisection (Golub and Van Loan, Matrix Computations, 8.3.1 and 8.4.1).

A program has a matrix for itself, so that matrices wait for nobody: cuSOLVER's batched solver takes
two to three times as long on an H100 (docs/benchmarks.md). The kernels are written in Triton, which
torch's builds for CUDA bring along.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

ALIGNED = 16
"""Rows begin at multiples of so many elements: the kernels load several of them at once."""

SMALLEST = 64
"""Columns that a program holds at least."""

REFLECTIONS = 8
"""So many columns become tridiagonal before the rest of the matrix is written again."""

TOGETHER = 8
"""So many of them are loaded at once when it is written."""

ROWS = 8
"""Of the matrix in a step of a pass through it."""

COLUMNS_OF_WARP = 64
"""So that its threads hold whole columns of a step's rows, and two that are neighbours."""

REGISTERS = 128
"""Of a thread at most: with more, fewer programs share a processor."""

ROUNDS = 54
"""Halvings of [-1, 1], until it is narrower than what float64 tells apart."""

LARGEST = 1024
"""Wider matrices do not fit a program."""


@cache
def is_available() -> bool:
    """Whether Triton is installed."""
    return find_spec("triton") is not None


def eigvalsh(
    matrices: Float64[Tensor, "batch n n"],
) -> tuple[Float64[Tensor, "batch n"], Bool[Tensor, " batch"]]:
    """Return ascending eigenvalues by the lower triangles, and which matrices have none.

    Does not wait for the device. `n` is at most `LARGEST`.
    """
    kernels = _kernels()
    batch, n = matrices.shape[:2]
    work, scale = _scaled(matrices)
    width = columns(n)
    v, w = (work.new_empty(batch, REFLECTIONS, width) for _ in range(2))
    sums = work.new_empty(batch, warps(width), width)
    diagonal, beside = (work.new_empty(batch, n) for _ in range(2))
    tall = work.stride(1) // ALIGNED
    for first, last, held in phases(n):
        kernels.tridiagonalise[(batch,)](
            work, v, w, sums, diagonal, beside, n, tall, first // ALIGNED, last,
            HELD=held, ROWS=ROWS, REFLECTIONS=REFLECTIONS, TOGETHER=TOGETHER, ALIGNED=ALIGNED,
            WARPS=warps(held), num_warps=warps(held), **_limits(work.device),
        )  # fmt: skip
    values = work.new_empty(batch, n)
    kernels.bisect[(batch,)](
        diagonal, beside, values, n, HELD=width, ROUNDS=ROUNDS, num_warps=warps(width)
    )
    failed = ~(diagonal.sum(1) + beside.sum(1)).isfinite()
    return values.mul_(scale[:, None]), failed


def _kernels() -> Any:
    """The module that imports Triton."""
    return import_module("gradsweep.engine.spectra.backends.householder_kernels")


def _limits(device: torch.device) -> dict[str, int]:
    on_nvidia = device.type == "cuda" and torch.version.hip is None
    return {"maxnreg": REGISTERS} if on_nvidia else {}


def columns(n: int) -> int:
    """Return how many columns a program of an n×n matrix holds: a power of two."""
    return max(SMALLEST, 1 << (n - 1).bit_length())


def warps(held: int) -> int:
    """Return how many warps a program of so many columns has."""
    return max(1, held // COLUMNS_OF_WARP)


def phases(n: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first, last, held): columns `first` to `last` become tridiagonal by programs that
    hold as many columns as are left from `first` on, rounded up to a power of two."""
    first = 0
    while first < n:
        held = columns(n - first)
        half = -(-(n - held // 2) // ALIGNED) * ALIGNED
        last = n if held == SMALLEST else min(n, max(first + ALIGNED, half))
        yield first, last, held
        first = last


def _scaled(
    matrices: Float64[Tensor, "batch n n"],
) -> tuple[Float64[Tensor, "batch n tall"], Float64[Tensor, " batch"]]:
    """What `tridiagonalise` takes, divided by the power of two that is next to the trace, and that:
    squares of elements neither overflow nor vanish."""
    batch, n = matrices.shape[:2]
    tall = -(-n // ALIGNED) * ALIGNED
    _, exponents = torch.frexp(matrices.diagonal(dim1=1, dim2=2).abs().sum(1))
    ones = torch.ones_like(exponents, dtype=torch.float64)
    copies = matrices.new_empty(batch, n, tall)
    torch.mul(matrices, torch.ldexp(ones, -exponents)[:, None, None], out=copies[:, :, :n])
    copies.tril_().diagonal(dim1=1, dim2=2).mul_(0.5)
    return copies, torch.ldexp(ones, exponents)
