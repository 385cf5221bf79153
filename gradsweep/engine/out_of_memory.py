"""Tells memory that ran out from other errors."""

from __future__ import annotations

import torch

ALLOCATION_FAILURES = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "Triton Error [CUDA]: out of memory",
    "Triton Error [HIP]: out of memory",
)
"""What a plain RuntimeError says of it: torch's on the CPU, and where a library asks the device."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may succeed where this error came from."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error) for s in ALLOCATION_FAILURES)
