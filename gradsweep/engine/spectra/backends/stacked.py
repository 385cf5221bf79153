"""Spectra of many units in many layers at once: what has one shape is one operation on the device.

A GPU takes as long to start an operation as to multiply two small matrices, and eigenvalues of
128 matrices come as fast as those of 16 (docs/benchmarks.md). So units are stacked along a batch
dimension, shorter ones filled up with tokens of zeros, which add nothing but zero eigenvalues; and
the host hears of nothing until everything is on its way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from gradsweep.config import Solver
from gradsweep.engine.batch import Layout
from gradsweep.engine.factors import Factors, split_units
from gradsweep.engine.spectra.backend import Backend
from gradsweep.engine.spectra.backends.stacks import Inputs, Pair, Side, Stack
from gradsweep.engine.spectra.heads import grams_by_matrix, grams_by_tokens
from gradsweep.engine.spectra.routes import cheapest_route, safe_spectrum, solved_spectrum
from gradsweep.engine.spectra.spectrum import Spectrum
from gradsweep.models.projections import Heads

FILLED_UP = 0.9
"""Units are stacked with those that have at least this share of the tokens of the longest."""

Item = TypeVar("Item")

Shapes = dict[str, tuple[int, int]]
"""Projection -> (m, n)."""


@dataclass(frozen=True)
class _Problems:
    """One projection of some units in some layers, or its heads, all on one route."""

    name: str
    solver: Solver
    places: list[tuple[int, int]]
    """(layer, unit), as places in what was asked for, of each; of a unit's heads one each."""
    heads: Heads | None
    """None for whole matrices."""
    m: int
    n: int
    grams: Float64[Tensor, "problems k k"]
    """Their eigenvalues are σ²."""
    squares: Float64[Tensor, " problems"]
    """‖G‖²_F."""
    token_squares: Float64[Tensor, " problems"]
    """The square of `Spectrum.token_norm`."""
    failed: Float64[Tensor, " problems"]
    """Not 0 where only the safe path is left."""


def stacked_spectra(
    layers: Sequence[Sequence[Factors]],
    layout: Layout,
    units: Sequence[int],
    solver: Solver,
    backend: Backend,
    most_elements: int,
) -> list[list[dict[str, Spectrum]]]:
    """Return the spectra of every layer, for each of `units`; by a route of eigenvalues.

    Those of a projection's heads come with it, where its factors name them.

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
    # The whole matrix first, then its heads in their order: as `_problems` gives them.
    found: list[list[dict[str, list[Spectrum]]]] = [[{} for _ in units] for _ in layers]
    problems = ((stack, *place) for stack in stacks for place in stack.places)
    for i, (stack, layer, place) in enumerate(problems):
        own = next(eigenvalues) if solvable[i] else None
        rank = min(lengths[place], stack.m, stack.n)
        norms = float(frobenius[i]), float(token_norms[i])
        spectrum = solved_spectrum(stack.solver, rank, norms, own)
        together = found[layer][place].setdefault(stack.name, [])
        if spectrum is None:
            factors = next(of_input for of_input in layers[layer] if stack.name in of_input.dy)
            unit = list(split_units(factors, layout))[units[place]]
            x, dy = unit.x, unit.dy[stack.name]
            if stack.heads is not None:
                x, dy = stack.heads.factors(len(together) - 1, x, dy)
            spectrum = safe_spectrum(x, dy, backend)
        together.append(spectrum)
    return [[_with_heads(of_unit) for of_unit in of_layer] for of_layer in found]


def _with_heads(found: dict[str, list[Spectrum]]) -> dict[str, Spectrum]:
    return {
        name: replace(whole, heads=tuple(heads)) if heads else whole
        for name, (whole, *heads) in found.items()
    }


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
            kind = (factors.x.dtype, *_shapes(factors).items(), *sorted(factors.heads.items()))
            alike.setdefault(kind, []).append((layer, factors))
    for members in alike.values():
        shapes = _shapes(members[0][1])
        for group, routes in _groups(lengths, shapes, solver):
            each = _elements(lengths[group[0]], shapes, routes)
            each = max(each, head_elements(members[0][1]))
            for places in _chunks(group, most_elements // each):
                stack = Stack(layout, [units[place] for place in places], members[0][1].x.device)
                for chunk in _chunks(members, most_elements // (each * len(places))):
                    yield from _problems(chunk, places, stack, routes)


def _problems(
    chunk: Sequence[tuple[int, Factors]],
    places: Sequence[int],
    stack: Stack,
    routes: dict[str, Solver],
) -> Iterator[_Problems]:
    inputs = Inputs(stack.of([factors.x for _, factors in chunk]), stack.counts)
    of = [(layer, place) for layer, _ in chunk for place in places]
    for name, route in routes.items():
        pair = Pair(inputs, stack.of([factors.dy[name] for _, factors in chunk]))
        solve = _by_tokens if route is Solver.token_gram else _by_weight
        yield _Problems(name, route, of, None, *pair.shape, *solve(pair))
        if heads := chunk[0][1].heads.get(name):
            of_heads = [place for place in of for _ in range(heads.count)]
            shape = heads.shape(*pair.shape)
            yield _Problems(name, route, of_heads, heads, *shape, *_of_heads(pair, heads, route))


_Gram = tuple[Tensor, Tensor, Tensor, Tensor]
"""`grams`, `squares`, `token_squares` and `failed` of `_Problems`."""


def _by_tokens(pair: Pair) -> _Gram:
    h = pair.outputs.gram
    squares = pair.inputs.gram * h
    lower, failed = pair.inputs.cholesky
    on_diagonal = squares.diagonal(dim1=1, dim2=2).sum(1)
    return lower.mT @ h @ lower, squares.sum((1, 2)), on_diagonal, failed


def _by_weight(pair: Pair) -> _Gram:
    g = pair.g
    flat = g if g.shape[1] <= g.shape[2] else g.mT
    squares = (g * g).sum((1, 2))
    token_squares = (pair.inputs.token_squares * pair.outputs.token_squares).sum(1)
    return flat @ flat.mT, squares, token_squares, torch.zeros_like(squares)


def _of_heads(pair: Pair, heads: Heads, route: Solver) -> _Gram:
    """Of every head of every problem: problem after problem, head after head."""
    sides: tuple[Side, Side] = pair.outputs, pair.inputs
    cut, other = reversed(sides) if heads.of_inputs else sides
    if route is Solver.token_gram:
        found = grams_by_tokens(cut.values, other.gram, other.token_squares, heads.count)
    else:
        g = pair.g.mT if heads.of_inputs else pair.g
        found = grams_by_matrix(cut.values, g, other.token_squares, heads.count)
    return (
        found.grams.flatten(0, 1),
        found.squares.flatten(),
        found.token_squares.flatten(),
        found.cancelled.flatten().double(),
    )


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


def head_elements(factors: Factors) -> int:
    """Return how many elements the heads' small matrices of one unit have, in one layer."""
    shapes = _shapes(factors)
    widths = ((heads.count, heads.width(*shapes[name])) for name, heads in factors.heads.items())
    return sum(count * width**2 for count, width in widths)


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    size = max(size, 1)
    return (items[start : start + size] for start in range(0, len(items), size))
