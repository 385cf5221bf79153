"""Between the host and a device, without waiting where that can be: each wait leaves it idle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def to_host(tensors: Sequence[Tensor]) -> list[np.ndarray]:
    """Return tensors of one device, of any shapes, as float64: one transfer, one wait."""
    if not tensors:
        return []
    flat = torch.cat([tensor.flatten() for tensor in tensors]).double().cpu().numpy()
    ends = np.cumsum([tensor.numel() for tensor in tensors])
    parts = np.split(flat, ends[:-1])
    return [part.reshape(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def sent_to_host(tensor: Tensor) -> Callable[[], np.ndarray]:
    """Start copying a tensor; return what waits for its arrival, in whichever thread calls it."""
    on_gpu = tensor.device.type == "cuda"
    arriving = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=on_gpu)
    arriving.copy_(tensor, non_blocking=True)
    if not on_gpu:
        return arriving.numpy
    with torch.cuda.device(tensor.device):
        arrival = torch.cuda.Event()
        arrival.record()

    def arrived() -> np.ndarray:
        arrival.synchronize()
        return np.asarray(arriving.numpy())

    return arrived


def to_device(values: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return numbers of the host as a tensor there; a copy this small is staged by the driver."""
    return torch.tensor(values, dtype=dtype).to(device, non_blocking=True)
