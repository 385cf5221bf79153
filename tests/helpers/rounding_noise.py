"""Another machine's rounding on this one: matrix products and attention that are off by an eps.

What is zero in exact arithmetic is noise of some size in float32, and its size depends on the
instruction set, the library and the number of threads. Inside `RoundingNoise` each product is off
by about eps times the sum of its terms' absolute values, which is what a sum in another order
costs. As on a real machine, the same operation on the same numbers gives the same bits, and a
power of two in front changes none of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

ROUNDED_OTHERWISE = bool(os.environ.get("GRADSWEEP_TEST_NOISE"))
"""Whether every test of this session runs with it, in its own thread."""

aten = torch.ops.aten
PRODUCTS = {
    aten.mm.default,
    aten.bmm.default,
    aten.addmm.default,
    aten.baddbmm.default,
    aten._grouped_mm.default,
}
ATTENTION = {
    aten._scaled_dot_product_flash_attention_for_cpu.default,
    aten._scaled_dot_product_flash_attention_for_cpu_backward.default,
}


class RoundingNoise(TorchDispatchMode):
    """Products that this thread computes inside the block are rounded otherwise, by `eps`."""

    def __init__(self, eps: float = 1.0) -> None:
        super().__init__()
        self._eps = eps
        """In units of the dtype's own."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in PRODUCTS:
            return self._rounded(result, func(*map(_magnitude, args), **(kwargs or {})))
        if func in ATTENTION:
            # A softmax weighs the values: their sum has terms as large as the largest of them.
            return tree_map(lambda x: self._rounded(x, _largest(x)), result)
        return result

    def _rounded(self, result: Any, terms: torch.Tensor) -> Any:
        if not isinstance(result, torch.Tensor) or not result.is_floating_point():
            return result
        mantissa = torch.frexp(result.double()).mantissa
        direction = torch.sin(1e9 * mantissa + result.numel())
        noise = self._eps * torch.finfo(result.dtype).eps * terms.double() * direction
        return (result + noise.nan_to_num(0, 0, 0)).to(result.dtype)


def _magnitude(x: Any) -> Any:
    real = isinstance(x, torch.Tensor) and x.is_floating_point()
    return x.detach().abs() if real else x


def _largest(x: Any) -> Any:
    return x.detach().abs().amax(dim=-1, keepdim=True) if isinstance(x, torch.Tensor) else x
