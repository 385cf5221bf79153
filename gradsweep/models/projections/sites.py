"""Sites: the modules to watch, and what the measurement needs to know of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

Columns = torch.Tensor | None
"""Output columns of a module that belong to one projection; None is all of them."""


@dataclass(frozen=True)
class Heads:
    """How a weight W (m×n) is cut into attention heads, all of one width, one after the other."""

    count: int
    of_inputs: bool = False
    """Whether a head has columns of W, as of o; otherwise it has rows."""

    def width(self, m: int, n: int) -> int:
        """Return the features of one head."""
        return (n if self.of_inputs else m) // self.count

    def shape(self, m: int, n: int) -> tuple[int, int]:
        """Return the shape of one head's part of W."""
        return (m, n // self.count) if self.of_inputs else (m // self.count, n)

    def factors(
        self, head: int, x: torch.Tensor, dy: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return X and dY of one head's part of G = dYᵀX, from those of all (T×n and T×m)."""
        width = self.width(dy.shape[-1], x.shape[-1])
        own = slice(head * width, (head + 1) * width)
        return (x[..., own], dy) if self.of_inputs else (x, dy[..., own])


@dataclass(frozen=True)
class ProjectionSite:
    """One module to watch in one layer, and the projections found in its output.

    With X the module's input and dY the gradient of its output, the gradient of a
    projection's weight is dY[:, columns]ᵀX, however the module stores that weight.
    """

    layer: int
    module: nn.Module
    columns: dict[str, Columns]
    """Projection name -> output columns of `module`."""
    heads: Mapping[str, Heads] = field(default_factory=dict)
    """Projection name -> its attention heads; empty unless single heads are measured."""


def weight_shape(module: Any) -> tuple[int, int]:
    """Return the (output, input) features of a linear module.

    `weight.shape` does not tell: Conv1D stores its weight transposed, 4-bit modules packed.
    """
    if hasattr(module, "out_features"):
        return module.out_features, module.in_features
    return module.nf, module.nx  # Conv1D of transformers


def projection_shapes(site: ProjectionSite) -> dict[str, tuple[int, int]]:
    """Return (m, n), the shape of the gradient, of every projection in the module."""
    m, n = weight_shape(site.module)
    return {
        name: (m if columns is None else len(columns), n) for name, columns in site.columns.items()
    }


def n_parameters(model: nn.Module) -> int:
    """Count the parameters of the model; tied ones once, packed 4-bit ones by what they hold."""
    return sum(_n_elements(parameter) for parameter in model.parameters())


def _n_elements(parameter: nn.Parameter) -> int:
    state = getattr(parameter, "quant_state", None)  # of bitsandbytes' Params4bit
    return parameter.numel() if state is None else math.prod(state.shape)
