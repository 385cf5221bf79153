"""cuSOLVER's batched eigenvalue solver, called where torch does not call it.

`cusolverDnXsyevBatched` (CUDA 12.6.2 and later) solves many matrices side by side: 128 of 500×500
in 56 ms on an H100, where `torch.linalg.eigvalsh` of torch 2.11 takes 570, one after the other
(docs/benchmarks.md). Torch loads the library; ctypes calls what is in it.
"""

from __future__ import annotations

import ctypes
import re
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

_POINTER, _INT, _INT64, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_size_t
_VALUES_ONLY = 0
_UPPER = 1
"""cuSOLVER counts by columns: the upper triangle of what it sees is torch's lower one."""
_DOUBLE = 1

_MATRICES: list[Any] = [*[_POINTER] * 2, *[_INT] * 2, _INT64]
_MATRICES += [_INT, _POINTER, _INT64, _INT, _POINTER, _INT]
"""Arguments of both calls: handle, parameters, what and which triangle, n, then dtype and place
of the matrices, rows between columns, dtype and place of the eigenvalues, dtype of the work."""


class CusolverError(RuntimeError):
    """A call did not succeed."""


class _Handles(threading.local):
    """cuSOLVER's state, by device: each thread needs its own."""

    def __init__(self) -> None:
        self.of_device: dict[torch.device, tuple[ctypes.c_void_p, ctypes.c_void_p]] = {}


_handles = _Handles()


def is_available(device: torch.device) -> bool:
    """Whether the installed CUDA has the solver; on no other device is there one."""
    return device.type == "cuda" and torch.version.hip is None and _library(device) is not None


def eigvalsh(
    matrices: Float64[Tensor, "batch n n"],
) -> tuple[Float64[Tensor, "batch n"], Tensor]:
    """Return ascending eigenvalues by the lower triangles, and what is not 0 where they are none.

    Overwrites `matrices`, which must be contiguous. Does not wait for the device.

    Raises:
        CusolverError: the library refuses.
    """
    batch, n = matrices.shape[:2]
    device, library = matrices.device, _library(matrices.device)
    if library is None:
        raise CusolverError(f"the CUDA of {device} has no batched eigenvalue solver")
    with torch.cuda.device(device):
        handle, parameters = _handle(device, library)
        _check(library.cusolverDnSetStream(handle, torch.cuda.current_stream().cuda_stream))
        values = matrices.new_empty(batch, n)
        failed = torch.empty(batch, dtype=torch.int32, device=device)
        of_each = (_DOUBLE, matrices.data_ptr(), n, _DOUBLE, values.data_ptr(), _DOUBLE)
        what = (handle, parameters, _VALUES_ONLY, _UPPER, n, *of_each)
        sizes = _SIZE(), _SIZE()
        _check(library.cusolverDnXsyevBatched_bufferSize(*what, *map(ctypes.byref, sizes), batch))
        on_device = torch.empty(max(sizes[0].value, 1), dtype=torch.uint8, device=device)
        on_host = ctypes.create_string_buffer(max(sizes[1].value, 1))
        work = (on_device.data_ptr(), sizes[0], ctypes.addressof(on_host), sizes[1])
        _check(library.cusolverDnXsyevBatched(*what, *work, failed.data_ptr(), batch))
        if sizes[1].value:
            torch.cuda.synchronize()  # the work on the host must outlive the call
    return values, failed


@lru_cache
def _library(device: torch.device) -> ctypes.CDLL | None:
    """What torch's own solver has loaded, with the solver in it; else None."""
    torch.linalg.eigvalsh(torch.eye(2, dtype=torch.float64, device=device))
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    except OSError:
        return None
    path = _loaded(maps)
    try:
        library = ctypes.CDLL(path) if path else None
    except OSError:  # replaced since it was loaded
        return None
    if library is None or not hasattr(library, "cusolverDnXsyevBatched"):
        return None
    solve = library.cusolverDnXsyevBatched
    its_work: list[Any] = [_POINTER, _SIZE, _POINTER, _SIZE, _POINTER]
    solve.argtypes = [*_MATRICES, *its_work, _INT64]
    sizes = library.cusolverDnXsyevBatched_bufferSize
    sizes.argtypes = [*_MATRICES, _POINTER, _POINTER, _INT64]
    library.cusolverDnSetStream.argtypes = [_POINTER, _POINTER]
    return library


def _loaded(maps: str) -> str | None:
    """The library's path, which may have spaces, in lines of five columns before it."""
    found = re.search(r"^(?:\S+\s+){5}(/.*/libcusolver\.so\S*)", maps, re.MULTILINE)
    return found[1] if found else None


def _handle(device: torch.device, library: ctypes.CDLL) -> tuple[ctypes.c_void_p, ctypes.c_void_p]:
    if device not in _handles.of_device:
        handle, parameters = _POINTER(), _POINTER()
        _check(library.cusolverDnCreate(ctypes.byref(handle)))
        _check(library.cusolverDnCreateParams(ctypes.byref(parameters)))
        _handles.of_device[device] = handle, parameters
    return _handles.of_device[device]


def _check(status: int) -> None:
    if status:
        raise CusolverError(f"cuSOLVER status {status}")
