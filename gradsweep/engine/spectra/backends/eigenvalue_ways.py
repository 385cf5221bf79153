"""The ways to eigenvalues of many symmetric matrices on a device.

Our kernels need Triton and NVRTC, cuSOLVER's CUDA 12.6, torch's loops over the matrices one at a
time for n > 32 (2.11 still does), and a card with little float64 loses to the host.

None makes the backward pass wait: what kernels and cuSOLVER find is sent while the device goes on,
the host's cores solve meanwhile, and torch's solver is called when that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from gradsweep.cores import usable_cores
from gradsweep.engine.spectra.backends import cusolver, lapack, two_stage
from gradsweep.engine.spectra.backends.transfers import sent_to_host, to_host

BATCH_ELEMENTS = 2**26
"""Most elements (of 8 bytes) of a batch: cuSOLVER's workspace is four times as large, and 64
matrices of 2048×2048 at a time ran out of memory."""

BATCH_MATRICES = 1024
"""Most matrices of a batch: the workspace of each has another megabyte, however small it is."""

BYTES_OF_DEVICE = 256
"""Of a device's memory for each element of a batch, where that makes fewer."""

LARGEST_ON_HOST = 2048
"""A matrix of 4096×4096 takes a core of the host 7 s, one of 8192 a minute: not even tried."""

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


Found = TypeVar("Found")

Way = Callable[[Tensor], list[Solving]]
"""Starts on float64 matrices (batch×n×n), of which only the lower triangle counts; they may be
overwritten."""


def ways(device: torch.device, n: int) -> list[Way]:
    """Return those that the device has for n×n matrices."""
    ours = device.type == "cuda" and two_stage.is_available() and n <= two_stage.LARGEST
    own = [by_two_stages] if ours else []
    library = [by_cusolver] if cusolver.is_available(device) else []
    host = [on_host] if n <= LARGEST_ON_HOST else []
    return [*own, *library, by_torch, *host]


def batch_elements(device: torch.device) -> int:
    """Return the most elements of a batch on this device."""
    if device.type != "cuda":
        return BATCH_ELEMENTS
    have = torch.cuda.get_device_properties(device).total_memory
    return min(BATCH_ELEMENTS, have // BYTES_OF_DEVICE)


def finished(part: Solving, fetched: Iterator[np.ndarray]) -> Eigenvalues:
    """Return the eigenvalues of a part, and wait for them; `fetched` has those of `on_device`."""
    if part.wait is not None:
        return part.wait()
    of_each = zip(next(fetched), next(fetched), strict=True)
    return [None if failed else own for own, failed in of_each]


def solved_by(way: Way, matrices: Float64[Tensor, "batch n n"]) -> Eigenvalues:
    """Return the eigenvalues by one of the ways, whose end is waited for."""
    started = way(matrices)
    fetched = iter(to_host([tensor for part in started for tensor in part.on_device]))
    return [found for part in started for found in finished(part, fetched)]


def by_two_stages(matrices: Tensor) -> list[Solving]:
    """Our own kernels, for as many as fit."""
    return [Solving(two_stage.eigvalsh(some)) for some in _parts(matrices, 2)]


def by_cusolver(matrices: Tensor) -> list[Solving]:
    """One call of cuSOLVER's batched solver for as many as fit."""
    return [part for some in _parts(matrices) for part in _halved(_by_one_call, some)]


def _by_one_call(matrices: Tensor) -> list[Solving]:
    try:
        return [Solving(cusolver.eigvalsh(matrices))]
    except cusolver.CusolverError:  # refused, and so not overwritten
        return by_torch(matrices)


def _halved(solve: Callable[[Tensor], list[Found]], matrices: Tensor) -> list[Found]:
    """Fewer at a time where the workspace does not fit beside a model and its activations."""
    try:
        return solve(matrices)
    except torch.OutOfMemoryError:
        if len(matrices) == 1:
            raise
    middle = len(matrices) // 2
    return [*_halved(solve, matrices[:middle]), *_halved(solve, matrices[middle:])]


def by_torch(matrices: Tensor) -> list[Solving]:
    """Torch's batched solver, for as many as fit."""
    return [
        Solving(wait=partial(_halved, _torch, some), nbytes=some.nbytes)
        for some in _parts(matrices)
    ]


def _torch(matrices: Tensor) -> Eigenvalues:
    try:
        return list(torch.linalg.eigvalsh(matrices).cpu().numpy())
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return solved_by(on_host, matrices)  # one bad matrix fails the whole batch


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
