"""A model over two devices, on a machine without any: see `benchmarks.pretended_devices`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from accelerate import dispatch_model

from benchmarks.pretended_devices import PretendedDevices as TwoDevices

__all__ = ["TwoDevices", "dispatched"]


def dispatched(model: torch.nn.Module, device_map: Mapping[str, int | torch.device]) -> None:
    """Spread the model as transformers does, with `lazy:i` for GPU number i."""
    dispatch_model(model, {name: f"lazy:{gpu}" for name, gpu in device_map.items()})
