"""AAᵀ of many matrices at once, in float64: by a kernel that computes one of the two triangles,
where that is ahead of cuBLAS, which computes both (docs/benchmarks.md).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from gradsweep.engine.spectra.backends.transfers import FUSED, current

log = logging.getLogger("gradsweep")

TILE = 64
"""Rows and columns of a product that a program has."""

STEP = 16
"""Elements of its rows at a time."""

WARPS, STAGES = 4, 3

MOST_PROBLEMS = 65_535
"""Of one launch: more have next to no rows."""

TRIAL = (32, 500, 2048)
"""Problems, rows, columns: about what some layers bring."""

CALLS = 10
"""Of a way that is timed: what it costs the host to start one does not count."""

AGREEMENT = 1e-13
"""How far both ways may differ, as a share of the largest element."""

Way = Callable[[Tensor], Tensor]


def gram(
    values: Float64[Tensor, "*problems rows columns"],
) -> Float64[Tensor, "*problems rows rows"]:
    """Return AAᵀ of each, both triangles. Does not wait for a device that was tried."""
    return fastest_way(values.device)(values)


def by_library(values: Tensor) -> Tensor:
    """Both triangles, by torch."""
    return values @ values.mT


def by_kernel(values: Tensor) -> Tensor:
    """One triangle, and a copy of it."""
    *problems, rows, columns = values.shape
    flat = values.reshape(-1, rows, columns).contiguous()
    if len(flat) > MOST_PROBLEMS:
        return by_library(values)
    products, tiles = flat.new_empty(len(flat), rows, rows), -(-rows // TILE)
    with current(values.device):
        _kernel().gram[(tiles, tiles, len(flat))](
            flat, products, rows, columns,
            TILE=TILE, STEP=STEP, num_warps=WARPS, num_stages=STAGES, **FUSED,
        )  # fmt: skip
    return products.reshape(*problems, rows, rows)


@lru_cache(maxsize=1)
def _kernel() -> Any:
    """The module that imports Triton."""
    return import_module("gradsweep.engine.spectra.backends.gram_kernel")


@lru_cache
def fastest_way(device: torch.device) -> Way:
    """The kernel where it is right and ahead on this device, else the library."""
    has_kernel = device.type == "cuda" and find_spec("triton") is not None
    return tried(device) if has_kernel else by_library


def tried(device: torch.device) -> Way:
    """The faster way on random matrices, if the kernel is right: it is compiled on the spot, by
    versions and for cards that nobody has seen here."""
    try:
        generator = torch.Generator(device).manual_seed(0)
        trial = torch.randn(TRIAL, dtype=torch.float64, generator=generator, device=device)
        known = by_library(trial)
        apart = float((by_kernel(trial) - known).abs().max() / known.abs().max())
        if apart <= AGREEMENT:
            return min((by_kernel, by_library), key=lambda way: _seconds(way, trial))
    except Exception as reason:
        log.warning("products go on without a kernel of our own, which fails: %s", reason)
        return by_library
    log.warning("products go on without a kernel of our own: it is wrong on %s", device)
    return by_library


def _seconds(way: Way, trial: Tensor) -> float:
    """Of some calls one after the other."""
    way(trial)[0].sum().item()
    start = time.perf_counter()
    for _ in range(CALLS):
        products = way(trial)
    products[0].sum().item()
    return time.perf_counter() - start
