"""Spectra of many units in many layers at once: what has one shape is one operation on the device.

A GPU takes as long to start an operation as to multiply two small matrices, and eigenvalues of
128 matrices come as fast as those of 16 (docs/benchmarks.md). So units are stacked along a batch
dimension, shorter ones filled up with tokens of zeros, which add nothing but zero eigenvalues; and
the host hears of nothing until everything is on its way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from gradsweep.config import Solver
from gradsweep.engine.batch import Layout
from gradsweep.engine.factors import Factors, split_units
from gradsweep.engine.spectra.backend import JITTER, Backend
from gradsweep.engine.spectra.routes import cheapest_route, safe_spectrum, solved_spectrum
from gradsweep.engine.spectra.spectrum import Spectrum

FILLED_UP = 0.9
"""Units are stacked with those that have at least this share of the tokens of the longest."""

Item = TypeVar("Item")

Shapes = dict[str, tuple[int, int]]
"""Projection -> (m, n)."""


@dataclass(frozen=True)
class _Problems:
    """One projection of some units in some layers, all on one route."""

    name: str
    solver: Solver
    places: list[tuple[int, int]]
    """(layer, unit), as places in what was asked for, of each."""
    m: int
    n: int
    grams: Float64[Tensor, "problems k k"]
    """Their eigenvalues are σ²."""
    squares: Float64[Tensor, " problems"]
    """‖G‖²_F."""
    token_squares: Float64[Tensor, " problems"]
    """The square of `Spectrum.token_norm`."""
    failed: Float64[Tensor, " problems"]
    """Not 0 where the Cholesky factorisation broke down."""


class _Inputs:
    """X of some units in some layers (problems×tokens×n), and what their projections share."""

    def __init__(self, x: Float64[Tensor, "problems tokens n"], counts: Sequence[int]) -> None:
        """`counts` has the tokens of each unit; the units of a layer lie together."""
        self.x = x
        of_layer = torch.tensor(counts, dtype=torch.float64).to(x.device)
        self._counts = of_layer.repeat(len(x) // len(counts))

    @cached_property
    def gram(self) -> Float64[Tensor, "problems tokens tokens"]:
        """K = XXᵀ."""
        return self.x @ self.x.mT

    @cached_property
    def cholesky(self) -> tuple[Tensor, Tensor]:
        """L with LLᵀ = K + jitter, and where there is none; see `routes`."""
        jittered = self.gram.clone()
        diagonal = jittered.diagonal(dim1=1, dim2=2)
        diagonal += (JITTER * diagonal.sum(1) / self._counts)[:, None]
        lower, failed = torch.linalg.cholesky_ex(jittered)
        return lower, failed.double()

    @cached_property
    def token_squares(self) -> Float64[Tensor, "problems tokens"]:
        """‖x_t‖²."""
        return (self.x * self.x).sum(2)


def stacked_spectra(
    layers: Sequence[Sequence[Factors]],
    layout: Layout,
    units: Sequence[int],
    solver: Solver,
    backend: Backend,
    most_elements: int,
) -> list[list[dict[str, Spectrum]]]:
    """Return the spectra of every layer, for each of `units`; by a route of eigenvalues.

    Args:
        layers: the factors of a whole batch, all on one device.
        layout: which tokens are whose.
        units: the places of the units that are wanted.
        solver: `auto`, `token_gram` or `weight_gram`.
        backend: solves the eigenvalue problems, and what only the safe path can.
        most_elements: of a stack.
    """
    lengths = [
        sum(stop - start for start, stop in (layout.spans[row] for row in layout.unit_rows[unit]))
        for unit in units
    ]
    stacks = list(_stacks(layers, layout, units, lengths, solver, most_elements))
    checks = [torch.stack([s.squares, s.token_squares, s.failed]) for s in stacks]
    squares, token_squares, failed = torch.cat(checks, dim=1).cpu().numpy()  # one transfer
    frobenius, token_norms = np.sqrt(squares.clip(min=0)), np.sqrt(token_squares.clip(min=0))
    solvable = np.isfinite(frobenius) & (failed == 0)
    grams = [gram for stack in stacks for gram in stack.grams]
    eigenvalues = iter(backend.eigvalsh([grams[i] for i in np.flatnonzero(solvable)]))
    found: list[list[dict[str, Spectrum]]] = [[{} for _ in units] for _ in layers]
    problems = ((stack, *place) for stack in stacks for place in stack.places)
    for i, (stack, layer, place) in enumerate(problems):
        own = next(eigenvalues) if solvable[i] else None
        rank = min(lengths[place], stack.m, stack.n)
        norms = float(frobenius[i]), float(token_norms[i])
        spectrum = solved_spectrum(stack.solver, rank, norms, own)
        if spectrum is None:
            factors = next(of_input for of_input in layers[layer] if stack.name in of_input.dy)
            unit = list(split_units(factors, layout))[units[place]]
            spectrum = safe_spectrum(unit.x, unit.dy[stack.name], backend)
        found[layer][place][stack.name] = spectrum
    return found


def _stacks(
    layers: Sequence[Sequence[Factors]],
    layout: Layout,
    units: Sequence[int],
    lengths: Sequence[int],
    solver: Solver,
    most_elements: int,
) -> Iterator[_Problems]:
    alike: dict[object, list[tuple[int, Factors]]] = {}
    for layer, inputs in enumerate(layers):
        for factors in inputs:
            kind = (factors.x.dtype, *_shapes(factors).items())
            alike.setdefault(kind, []).append((layer, factors))
    for members in alike.values():
        shapes = _shapes(members[0][1])
        for group, routes in _groups(lengths, shapes, solver):
            each = _elements(lengths[group[0]], shapes, routes)
            for places in _chunks(group, most_elements // each):
                stack = _Stack(layout, [units[place] for place in places], members[0][1].x.device)
                for chunk in _chunks(members, most_elements // (each * len(places))):
                    yield from _problems(chunk, places, stack, routes)


def _problems(
    chunk: Sequence[tuple[int, Factors]],
    places: Sequence[int],
    stack: _Stack,
    routes: dict[str, Solver],
) -> Iterator[_Problems]:
    inputs = _Inputs(stack.of([factors.x for _, factors in chunk]), stack.counts)
    of = [(layer, place) for layer, _ in chunk for place in places]
    for name, route in routes.items():
        dy = stack.of([factors.dy[name] for _, factors in chunk])
        solve = _by_tokens if route is Solver.token_gram else _by_weight
        yield _Problems(name, route, of, dy.shape[-1], inputs.x.shape[-1], *solve(inputs, dy))


_Gram = tuple[Tensor, Tensor, Tensor, Tensor]
"""`grams`, `squares`, `token_squares` and `failed` of `_Problems`."""


def _by_tokens(inputs: _Inputs, dy: Float64[Tensor, "problems tokens m"]) -> _Gram:
    h = dy @ dy.mT
    squares = inputs.gram * h
    lower, failed = inputs.cholesky
    on_diagonal = squares.diagonal(dim1=1, dim2=2).sum(1)
    return lower.mT @ h @ lower, squares.sum((1, 2)), on_diagonal, failed


def _by_weight(inputs: _Inputs, dy: Float64[Tensor, "problems tokens m"]) -> _Gram:
    g = dy.mT @ inputs.x
    flat = g if g.shape[1] <= g.shape[2] else g.mT
    squares = (g * g).sum((1, 2))
    token_squares = (inputs.token_squares * (dy * dy).sum(2)).sum(1)
    return flat @ flat.mT, squares, token_squares, torch.zeros_like(squares)


class _Stack:
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


def _shapes(factors: Factors) -> Shapes:
    return {name: (dy.shape[-1], factors.x.shape[-1]) for name, dy in factors.dy.items()}


def _groups(
    lengths: Sequence[int], shapes: Shapes, solver: Solver
) -> Iterator[tuple[list[int], dict[str, Solver]]]:
    """Places of units of about one length, the longest first, with the routes that they share."""
    group: list[int] = []
    shared: dict[str, Solver] = {}
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place], reverse=True):
        tokens, automatic = lengths[place], solver is Solver.auto
        routes = {
            name: cheapest_route(tokens, m, n) if automatic else solver
            for name, (m, n) in shapes.items()
        }
        if group and (routes != shared or tokens < FILLED_UP * lengths[group[0]]):
            yield group, shared
            group = []
        shared = routes
        group.append(place)
    yield group, shared


def _elements(tokens: int, shapes: Shapes, routes: dict[str, Solver]) -> int:
    """The largest matrix that a unit brings: X, dY, or G where that is formed."""
    formed = [m * n for name, (m, n) in shapes.items() if routes[name] is Solver.weight_gram]
    return max(tokens * max(max(shape) for shape in shapes.values()), *formed, tokens * tokens)


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    size = max(size, 1)
    return (items[start : start + size] for start in range(0, len(items), size))
