"""Eigenvalues of many symmetric matrices by kernels of our own, in two stages: Householder's
reflections bring each to a band, further ones chase that to tridiagonal form, and all eigenvalues
are bisected at once (Bischof, Lang and Sun 2000; Golub and Van Loan, Matrix Computations, 8.4.1).

The way to a band is made of matrix products: a matrix is read and written once for each `WIDTH`
columns, where the way straight to tridiagonal form, cuSOLVER's, reads it for every one, and takes
many times as long on an H100 (docs/benchmarks.md). That stage is written in Triton, which torch's
builds for CUDA bring along; the second, of many small steps, in CUDA C++ (`chase.cu`), which NVRTC
compiles, by way of torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from gradsweep.engine.spectra.backends.transfers import FUSED, current

WIDTH = 16
"""Of the band: so many diagonals below the main one."""

ROWS, COLUMNS = 64, 32
"""Of a matrix that a program of the first stage brings up to date: all in all, and in a step."""

UPDATE_WARPS = 4
"""Of such a program."""

SMALLEST = 64
"""Rows that a program holds at least whose panel of `WIDTH` columns becomes a part of the band."""

ROWS_OF_WARP = 64
"""So many of them for each warp."""

TILE = 32
"""Rows and columns of a program that copies a matrix."""

LANES = 32
"""Threads of a warp."""

MOST_WARPS = 16
"""Of a block that chases."""

ROUNDS = 54
"""Halvings of [-1, 1], until it is narrower than what float64 tells apart."""

COLUMNS_OF_WARP = 64
"""Eigenvalues that a warp bisects: two a thread."""

LARGEST = 1024
"""Wider matrices do not fit a program."""


def is_available() -> bool:
    """Whether what compiles the kernels is installed, for a card whose warps have 32 threads."""
    has_nvrtc = hasattr(torch.cuda, "_compile_kernel") and torch.version.hip is None
    return has_nvrtc and find_spec("triton") is not None


def eigvalsh(
    matrices: Float64[Tensor, "batch n n"],
) -> tuple[Float64[Tensor, "batch n"], Bool[Tensor, " batch"]]:
    """Return ascending eigenvalues by the lower triangles, and which matrices have none.

    Does not wait for the device. `n` is at most `LARGEST`.
    """
    with current(matrices.device):
        work, scale = _scaled(matrices)
        diagonal, beside = _chased(_banded(work), matrices.shape[1])
        values = _bisected(diagonal, beside)
    failed = ~(diagonal.sum(1) + beside.sum(1)).isfinite()
    return values.mul_(scale[:, None]), failed


@cache
def _kernels(name: str) -> Any:
    """One of the modules that import Triton."""
    return import_module(f"gradsweep.engine.spectra.backends.{name}")


def _power_of_two(n: int) -> int:
    return max(SMALLEST, 1 << (n - 1).bit_length())


def _scaled(
    matrices: Float64[Tensor, "batch n n"],
) -> tuple[Float64[Tensor, "batch n row"], Float64[Tensor, " batch"]]:
    """Both triangles, divided by the power of two that is next to the trace, and that: squares of
    elements neither overflow nor vanish."""
    batch, n = matrices.shape[:2]
    _, exponents = torch.frexp(matrices.diagonal(dim1=1, dim2=2).abs().sum(1))
    ones = torch.ones_like(exponents, dtype=torch.float64)
    copies = matrices.new_empty(batch, n, -(-n // WIDTH) * WIDTH)
    tiles = -(-n // TILE)
    _kernels("band_kernels").mirror[(tiles, tiles, batch)](
        matrices.contiguous(), torch.ldexp(ones, -exponents), copies, n, copies.shape[2],
        TILE=TILE, **FUSED,
    )  # fmt: skip
    return copies, torch.ldexp(ones, exponents)


def _banded(work: Float64[Tensor, "batch n row"]) -> Float64[Tensor, "batch row twice_width"]:
    """The band that has the same eigenvalues: element i, j, i ≥ j, in row j at i − j, and room for
    what the second stage adds. `work` is overwritten."""
    kernels = _kernels("band_kernels")
    batch, n, row = work.shape
    parts = work.new_zeros(batch, -(-row // ROWS), WIDTH, WIDTH)
    vy, t = (work.new_zeros(batch, WIDTH, WIDTH) for _ in range(2))
    old, new, w, y = (work.new_zeros(batch, WIDTH, row) for _ in range(4))
    band = work.new_zeros(batch, row, 2 * WIDTH)
    for begin in range(0, n, WIDTH):
        held, rest = _power_of_two(n - begin), begin + WIDTH
        kernels.reduce_panel[(batch,)](
            work, old, w, y, parts, vy, new, t, band, n, row, begin,
            HELD=held, WIDTH=WIDTH, ROWS=ROWS, num_warps=max(1, held // ROWS_OF_WARP), **FUSED,
        )  # fmt: skip
        if rest < n:
            kernels.update_rest[(-(-(n - rest) // ROWS), batch)](
                work, old, w, new, t, y, parts, n, row, rest,
                WIDTH=WIDTH, ROWS=ROWS, COLUMNS=COLUMNS, num_warps=UPDATE_WARPS, **FUSED,
            )  # fmt: skip
        old, new = new, old
    return band


def _bisected(
    diagonal: Float64[Tensor, "batch n"], beside: Float64[Tensor, "batch n"]
) -> Float64[Tensor, "batch n"]:
    """The eigenvalues of tridiagonal matrices, ascending."""
    batch, n = diagonal.shape
    values, held = diagonal.new_empty(batch, n), _power_of_two(n)
    _kernels("bisection_kernel").bisect[(batch,)](
        diagonal, beside, values, n,
        HELD=held, ROUNDS=ROUNDS, num_warps=max(1, held // COLUMNS_OF_WARP), **FUSED,
    )  # fmt: skip
    return values


def _chased(
    band: Float64[Tensor, "batch row twice_width"], n: int
) -> tuple[Float64[Tensor, "batch n"], Float64[Tensor, "batch n"]]:
    """The diagonal of the tridiagonal form and what stands beside it, with a zero at the end."""
    batch, row, _ = band.shape
    diagonal, beside = (band.new_empty(batch, n) for _ in range(2))
    hops = max(n - 2, 0) // WIDTH + 1
    slots = -(-hops // 3)
    warps = min(slots, MOST_WARPS)
    kernel, most = _chase(band.device, WIDTH)
    of_row = 2 * WIDTH * band.element_size()
    is_shared = (warps + n) * of_row <= most
    kernel(
        grid=(batch, 1, 1),
        block=(warps * LANES, 1, 1),
        shared_mem=(warps + n if is_shared else warps) * of_row,
        args=[band, diagonal, beside, n, row, slots, int(is_shared)],
    )
    return diagonal, beside


@cache
def _chase(device: torch.device, width: int) -> tuple[Any, int]:
    """The kernel of `chase.cu` and how many bytes of shared memory it may have; `device` is the
    current one."""
    source = Path(__file__).with_name("chase.cu").read_text(encoding="utf-8")
    properties: Any = torch.cuda.get_device_properties(device)
    most = properties.shared_memory_per_block_optin
    with _any_toolkit():
        kernel = torch.cuda._compile_kernel(f"#define WIDTH {width}\n{source}", "chase")
    kernel.set_shared_memory_config(most)
    return kernel, most


@contextmanager
def _any_toolkit() -> Iterator[None]:
    """Torch tells NVRTC where CUDA's headers are, and fails where no toolkit is installed: its own
    wheels need none, and `chase.cu` includes nothing."""
    cpp_extension: Any = import_module("torch.utils.cpp_extension")
    given = cpp_extension.CUDA_HOME
    cpp_extension.CUDA_HOME = given or str(Path(__file__).parent)
    try:
        yield
    finally:
        cpp_extension.CUDA_HOME = given
