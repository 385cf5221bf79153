"""Devices on a machine without any: tensors that say `lazy:0` or `lazy:1` and never mix.

They hold CPU tensors, and an operation on tensors of two devices is refused, as CUDA refuses it. So
code that forgets to move something fails here too, and each launch and each transfer can be seen.
Not copied: streams, and autograd's thread for each device.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

MOVES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
CPU = torch.device("cpu")
Mode = TypeVar("Mode", bound="PretendedDevices")


class Placed(torch.Tensor):
    """A CPU tensor that says it is elsewhere."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor, device: torch.device) -> Placed:
        return torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), dtype=held.dtype, device=device
        )

    def __init__(self, held: torch.Tensor, device: torch.device) -> None:
        self.held = held

    @property
    def data(self) -> torch.Tensor:
        return self.detach()

    @data.setter  # type: ignore[override]
    def data(self, other: Placed) -> None:
        torch.Tensor.data.__set__(self, other)  # type: ignore[attr-defined]
        self.held = other.held

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def tolist(self) -> Any:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return compute(func, args, kwargs or {})


class PretendedDevices(TorchDispatchMode):
    """Inside the block, `lazy:0` and `lazy:1` can be computed on."""

    def __enter__(self: Mode) -> Mode:
        torch.lazy = SimpleNamespace()  # type: ignore[attr-defined]  # checkpointing asks for it
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        del torch.lazy  # type: ignore[attr-defined]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})


def placed(model: torch.nn.Module, device: torch.device) -> None:
    """Put a frozen model's weights and buffers there."""
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                there = Placed(weight.detach(), device)
                module._parameters[name] = torch.nn.Parameter(there, requires_grad=False)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = Placed(buffer, device)


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation on what its tensors hold, on the device that they say.

    Raises:
        RuntimeError: they are on several.
    """
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    places = {tensor.device for tensor in tensors if tensor.dim()}
    if len(places) > 1 and func not in MOVES:
        raise RuntimeError(f"{func}: tensors on {', '.join(sorted(map(str, places)))}")
    device = device_of_result(func, args, kwargs, tensors)
    if device.type != "lazy" and not any(isinstance(tensor, Placed) for tensor in tensors):
        return func(*args, **kwargs)
    if kwargs.get("device") is not None:
        kwargs = kwargs | {"device": CPU}
    bare = tree_map(lambda leaf: leaf.held if isinstance(leaf, Placed) else leaf, (args, kwargs))
    result = func(*bare[0], **bare[1])
    if device == CPU:
        return result
    there = tree_map(lambda x: Placed(x, device) if type(x) is torch.Tensor else x, result)
    return return_and_correct_aliasing(func, args, kwargs, there)


def device_of_result(
    func: Any, args: Any, kwargs: Mapping[str, Any], tensors: Iterable[torch.Tensor]
) -> torch.device:
    """Where an operation's result lies."""
    if func is torch.ops.aten.copy_.default:
        return torch.device(args[0].device)
    if kwargs.get("device") is not None:
        return torch.device(kwargs["device"])
    # Numbers (0-dim tensors) may come from the CPU.
    found = sorted({tensor.device for tensor in tensors}, key=lambda device: device == CPU)
    return found[0] if found else CPU
