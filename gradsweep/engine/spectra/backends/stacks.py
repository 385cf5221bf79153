"""Factors of some units in some layers along a batch dimension, and what their products share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from jaxtyping import Float64
from torch import Tensor

from gradsweep.engine.batch import Layout
from gradsweep.engine.spectra.backend import JITTER


class Stack:
    """Lays the tokens of some units of a batch one behind the other, filled up with zeros."""

    def __init__(self, layout: Layout, units: Sequence[int], device: torch.device) -> None:
        """The first unit is the longest."""
        rows = [layout.unit_rows[unit] for unit in units]
        tokens = [
            [row * layout.length + t for row in of_unit for t in range(*layout.spans[row])]
            for of_unit in rows
        ]
        self.counts = [len(own) for own in tokens]
        self._length = self.counts[0]
        filled = [own + [-1] * (self._length - len(own)) for own in tokens]
        index = torch.tensor(filled).flatten()
        n_tokens = len(layout.spans) * layout.length
        self._index = None if index.tolist() == list(range(n_tokens)) else index.to(device)
        self._filler = None if -1 not in index else (index < 0).to(device)[:, None]

    def of(self, layers: Sequence[Tensor]) -> Float64[Tensor, "problems tokens width"]:
        """The values of these units in each of the layers, layer after layer."""
        width = layers[0].shape[-1]
        values = torch.stack([layer.reshape(-1, width) for layer in layers])
        own = (values if self._index is None else values[:, self._index]).double()
        if self._filler is not None:
            own.masked_fill_(self._filler, 0.0)  # not a product: there may be NaN at padding
        return own.reshape(-1, self._length, width)


class Side:
    """X or dY of some units in some layers (problems×tokens×width)."""

    def __init__(self, values: Float64[Tensor, "problems tokens width"]) -> None:
        self.values = values

    @cached_property
    def gram(self) -> Float64[Tensor, "problems tokens tokens"]:
        """K = XXᵀ, or H = dYdYᵀ."""
        return self.values @ self.values.mT

    @cached_property
    def token_squares(self) -> Float64[Tensor, "problems tokens"]:
        """‖x_t‖², or ‖dy_t‖²."""
        return (self.values * self.values).sum(2)


class Inputs(Side):
    """X of some units in some layers, and what their projections share."""

    def __init__(self, x: Float64[Tensor, "problems tokens n"], counts: Sequence[int]) -> None:
        """`counts` has the tokens of each unit; the units of a layer lie together."""
        super().__init__(x)
        of_layer = torch.tensor(counts, dtype=torch.float64).to(x.device)
        self._counts = of_layer.repeat(len(x) // len(counts))

    @cached_property
    def cholesky(self) -> tuple[Tensor, Tensor]:
        """L with LLᵀ = K + jitter, and where there is none; see `routes`."""
        jittered = self.gram.clone()
        diagonal = jittered.diagonal(dim1=1, dim2=2)
        diagonal += (JITTER * diagonal.sum(1) / self._counts)[:, None]
        lower, failed = torch.linalg.cholesky_ex(jittered)
        return lower, failed.double()


class Pair:
    """X and dY of one projection."""

    def __init__(self, inputs: Inputs, dy: Float64[Tensor, "problems tokens m"]) -> None:
        self.inputs = inputs
        self.outputs = Side(dy)

    @cached_property
    def g(self) -> Float64[Tensor, "problems m n"]:
        """G = dYᵀX."""
        return self.outputs.values.mT @ self.inputs.values

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return self.outputs.values.shape[-1], self.inputs.values.shape[-1]
