"""Between the host and a device, without waiting where that can be: each wait leaves it idle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor


def to_host(tensors: Sequence[Tensor]) -> list[np.ndarray]:
    """Return tensors of one device, of any shapes, as float64: one transfer, one wait."""
    return arriving(tensors)()


def arriving(tensors: Sequence[Tensor]) -> Callable[[], list[np.ndarray]]:
    """Start on the same; return what waits for it, and gives it whenever it is called."""
    if not tensors:
        return list
    ends = np.cumsum([tensor.numel() for tensor in tensors])
    shapes = [tensor.shape for tensor in tensors]
    arrived = sent_to_host(torch.cat([tensor.flatten() for tensor in tensors]).double())

    def split() -> list[np.ndarray]:
        parts = np.split(arrived(), ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    return split


def sent_to_host(tensor: Tensor) -> Callable[[], np.ndarray]:
    """Start copying a tensor; return what waits for its arrival, in whichever thread calls it."""
    on_gpu = tensor.device.type == "cuda"
    copy = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=on_gpu)
    copy.copy_(tensor, non_blocking=True)
    if not on_gpu:
        return copy.numpy
    with torch.cuda.device(tensor.device):
        arrival = torch.cuda.Event(blocking=True)  # many threads may wait, and need not spin
        arrival.record()

    def arrived() -> np.ndarray:
        arrival.synchronize()
        return np.asarray(copy.numpy())

    return arrived


def current(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU the one that kernels of our own are launched on: torch's own go where their
    tensors are, and of a model over several GPUs that is not the current one."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


FUSED = {"enable_fp_fusion": True}
"""Of such a launch: a product and a sum in one instruction, whatever Triton's default."""


def to_device(values: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return numbers of the host as a tensor there; a copy this small is staged by the driver."""
    return torch.tensor(values, dtype=dtype, device="cpu").to(device, non_blocking=True)
