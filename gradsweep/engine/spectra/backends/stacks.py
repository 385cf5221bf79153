"""Factors of some units in some layers along a batch dimension, and what their products share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from jaxtyping import Float64
from torch import Tensor

from gradsweep.engine.batch import Layout
from gradsweep.engine.spectra.backend import JITTER
from gradsweep.engine.spectra.backends.gram_products import gram
from gradsweep.engine.spectra.backends.transfers import to_device


class Stack:
    """Lays the tokens of some units of a batch one behind the other, filled up with zeros."""

    def __init__(self, layout: Layout, units: Sequence[int], device: torch.device) -> None:
        """The first unit is the longest."""
        rows = [layout.unit_rows[unit] for unit in units]
        tokens = [
            [row * layout.length + t for row in of_unit for t in range(*layout.spans[row])]
            for of_unit in rows
        ]
        counts = [len(own) for own in tokens]
        self.jitter = to_device([JITTER / count for count in counts], torch.float64, device)
        """Of each unit's trace of K, to be added to its diagonal."""
        self._length = counts[0]
        index = [place for own in tokens for place in own + [-1] * (self._length - len(own))]
        in_place = index == list(range(len(layout.spans) * layout.length))
        self._index = None if in_place else to_device(index, torch.long, device)
        filler = [[place < 0] for place in index]
        self._filler = to_device(filler, torch.bool, device) if -1 in index else None

    def of(self, layers: Sequence[Tensor]) -> Float64[Tensor, "problems tokens width"]:
        """The values of these units in each of the layers, layer after layer."""
        width = layers[0].shape[-1]
        rows, index = [layer.reshape(-1, width) for layer in layers], self._index
        if index is not None and len(index) < len(rows[0]):  # a part: the rest is not copied
            rows, index = [of_layer[index] for of_layer in rows], None
        values = rows[0][None] if len(rows) == 1 else torch.stack(rows)
        own = (values if index is None else values[:, index]).double()
        if self._filler is not None:
            own.masked_fill_(self._filler, 0.0)  # not a product: there may be NaN at padding
        return own.reshape(-1, self._length, width)


class Side:
    """X or dY of some units in some layers (…×problems×tokens×width)."""

    def __init__(self, values: Float64[Tensor, "*names problems tokens width"]) -> None:
        self.values = values

    @cached_property
    def gram(self) -> Float64[Tensor, "*names problems tokens tokens"]:
        """K = XXᵀ, or H = dYdYᵀ."""
        return gram(self.values)

    @cached_property
    def token_squares(self) -> Float64[Tensor, "*names problems tokens"]:
        """‖x_t‖², or ‖dy_t‖²."""
        return (self.values * self.values).sum(-1)


class Inputs(Side):
    """X of some units in some layers, and what their projections share."""

    def __init__(self, stack: Stack, layers: Sequence[Tensor]) -> None:
        super().__init__(stack.of(layers))
        self._jitter = stack.jitter

    @cached_property
    def cholesky(self) -> tuple[Tensor, Tensor]:
        """L with LLᵀ = K + jitter, and what is not 0 where there is none; see `routes`."""
        jittered = self.gram.clone()
        diagonal = jittered.diagonal(dim1=1, dim2=2)
        added = diagonal.sum(1).unflatten(0, (-1, len(self._jitter))) * self._jitter
        diagonal += added.flatten()[:, None]
        lower, failed = torch.linalg.cholesky_ex(jittered)
        return lower, failed


class Pair:
    """X and the dY of projections of one shape."""

    def __init__(self, inputs: Inputs, dy: Float64[Tensor, "names_and_problems tokens m"]) -> None:
        """`dy` has one projection's problems, in the order of X, then the next one's."""
        self.inputs = inputs
        self.outputs = Side(dy.unflatten(0, (-1, len(inputs.values))))

    @cached_property
    def g(self) -> Float64[Tensor, "names problems m n"]:
        """G = dYᵀX."""
        of_each = [dy.mT @ self.inputs.values for dy in self.outputs.values]
        return of_each[0][None] if len(of_each) == 1 else torch.stack(of_each)

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return self.outputs.values.shape[-1], self.inputs.values.shape[-1]
