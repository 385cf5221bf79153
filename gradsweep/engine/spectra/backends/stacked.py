"""Spectra of many units in many layers at once: what has one shape is one operation on the device.

A GPU takes as long to start an operation as to multiply two small matrices, and eigenvalues of
128 matrices come as fast as those of 16 (docs/benchmarks.md). So units are stacked along a batch
dimension, shorter ones filled up with tokens of zeros, which add nothing but zero eigenvalues; and
the host hears of nothing until it asks for all that a batch has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch

from gradsweep.config import Solver
from gradsweep.engine.batch import Layout
from gradsweep.engine.factors import Factors, split_units
from gradsweep.engine.spectra.backend import Backend, LayerSpectra
from gradsweep.engine.spectra.backends.eigenvalues import StartedEigenvalues
from gradsweep.engine.spectra.backends.grams import Grams, grams_of, grams_of_heads
from gradsweep.engine.spectra.backends.stacks import Inputs, Pair, Stack
from gradsweep.engine.spectra.backends.transfers import arriving
from gradsweep.engine.spectra.routes import cheapest_route, safe_spectrum
from gradsweep.engine.spectra.solved import solved_spectra
from gradsweep.engine.spectra.spectrum import Spectrum
from gradsweep.models.projections import Heads

FILLED_UP = 0.9
"""Units are stacked with those that have at least this share of the tokens of the longest."""

Item = TypeVar("Item")

Shapes = dict[str, tuple[int, int]]
"""Projection -> (m, n)."""


@dataclass(frozen=True)
class _Problems:
    """Projections of one shape of some units in some layers, or their heads, all on one route."""

    solver: Solver
    places: list[tuple[str, int, int]]
    """(projection, layer, unit) of each, the latter as places in what was asked for; of a unit's
    heads one each."""
    heads: Heads | None
    """None for whole matrices."""
    m: int
    n: int


class StartedStacks:
    """The spectra of some layers on their way; by a route of eigenvalues."""

    def __init__(
        self,
        layers: Sequence[Sequence[Factors]],
        layout: Layout,
        units: Sequence[int],
        solver: Solver,
        most_elements: int,
    ) -> None:
        """Start on the spectra of every layer for each of `units`; the device is not waited for.

        Those of a projection's heads come with it, where its factors name them.

        Args:
            layers: the factors of a whole batch, all on one device.
            layout: which tokens are whose.
            units: the places of the units that are wanted.
            solver: `auto`, `token_gram` or `weight_gram`.
            most_elements: of a stack.
        """
        self._layers, self._layout, self._units = layers, layout, units
        rows = [layout.unit_rows[unit] for unit in units]
        spans = [[layout.spans[row] for row in of_unit] for of_unit in rows]
        self._lengths = [sum(stop - start for start, stop in of_unit) for of_unit in spans]
        stacks = list(_stacks(layers, layout, units, self._lengths, solver, most_elements))
        self._problems = [problems for problems, _ in stacks]
        found = [grams for _, grams in stacks]
        self._may_fail = [grams.failed is not None for grams in found]
        self._eigenvalues = StartedEigenvalues([grams.grams for grams in found])
        failed = [grams.failed for grams in found if grams.failed is not None]
        squares = [grams.squares for grams in found]
        token_squares = [grams.token_squares for grams in found]
        on_device = [*squares, *token_squares, *failed, *self._eigenvalues.on_device]
        self.arrived = arriving(on_device)
        """Waits until all that the device finds of them is on the host, and returns it. What was
        started on before them is there by then, too."""
        factors = [of_input for of_layer in layers for of_input in of_layer]
        self.nbytes = sum(map(factor_bytes, factors)) + self._eigenvalues.nbytes
        """Memory that is held until it is asked for the spectra."""

    def spectra(self, backend: Backend) -> LayerSpectra:
        """Return what `Backend.finish_layers` does, and wait for what the host computes.

        Args:
            backend: takes the safe path where only that is left.
        """
        rest = iter(self.arrived())
        frobenius = _norms(next(rest) for _ in self._problems)
        token_norms = _norms(next(rest) for _ in self._problems)
        failed = [flag for of_problems in self._failures(rest) for flag in of_problems]
        eigenvalues = self._eigenvalues.finished(rest)
        # The whole matrix first, then its heads in their order: as `_problems` gives them.
        found: list[list[dict[str, list[Spectrum]]]]
        found = [[{} for _ in self._units] for _ in self._layers]
        norms = list(zip(frobenius.tolist(), token_norms.tolist(), strict=True))
        own = [None if bad else of_one for bad, of_one in zip(failed, eigenvalues, strict=True)]
        end = 0
        for problems in self._problems:
            places = problems.places
            some = slice(end, end := end + len(places))
            ranks = [min(self._lengths[unit], problems.m, problems.n) for _, _, unit in places]
            solved = solved_spectra(problems.solver, ranks, norms[some], own[some])
            for place, spectrum in zip(places, solved, strict=True):
                name, layer, unit = place
                together = found[layer][unit].setdefault(name, [])
                if spectrum is None:
                    spectrum = self._safe(problems, place, len(together) - 1, backend)
                together.append(spectrum)
        return [[_with_heads(of_unit) for of_unit in of_layer] for of_layer in found]

    def _failures(self, fetched: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        for problems, may_fail in zip(self._problems, self._may_fail, strict=True):
            yield next(fetched) if may_fail else np.zeros(len(problems.places))

    def _safe(
        self, problems: _Problems, place: tuple[str, int, int], head: int, backend: Backend
    ) -> Spectrum:
        """By the factors themselves; `head` counts where the problems are heads."""
        name, layer, unit = place
        factors = next(of_input for of_input in self._layers[layer] if name in of_input.dy)
        own = list(split_units(factors, self._layout))[self._units[unit]]
        x, dy = own.x, own.dy[name]
        if problems.heads is not None:
            x, dy = problems.heads.factors(head, x, dy)
        return safe_spectrum(x, dy, backend)


def _norms(squares: Iterable[np.ndarray]) -> np.ndarray:
    """Rounding may leave the square of a small norm below zero."""
    return np.asarray(np.sqrt(np.concatenate(list(squares)).clip(min=0)))


def factor_bytes(factors: Factors) -> int:
    """Return the memory of X and every dY."""
    return sum(tensor.nbytes for tensor in (factors.x, *factors.dy.values()))


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
) -> Iterator[tuple[_Problems, Grams]]:
    alike: dict[object, list[tuple[int, Factors]]] = {}
    for layer, inputs in enumerate(layers):
        for factors in inputs:
            kind = (factors.x.dtype, *_shapes(factors).items(), *sorted(factors.heads.items()))
            alike.setdefault(kind, []).append((layer, factors))
    device = layers[0][0].x.device
    for members in alike.values():
        shapes = _shapes(members[0][1])
        for group, routes in _groups(lengths, shapes, solver):
            each = _elements(lengths[group[0]], shapes, routes)
            each = max(each, head_elements(members[0][1]))
            for places in _chunks(group, most_elements // each):
                stack = stack_of(layout, tuple(units[place] for place in places), device)
                for chunk in _chunks(members, most_elements // (each * len(places))):
                    yield from _problems(chunk, places, stack, routes)


@lru_cache(maxsize=64)
def stack_of(layout: Layout, units: tuple[int, ...], device: torch.device) -> Stack:
    """Return it; layers that come later in a pass have the same."""
    return Stack(layout, units, device)


def _problems(
    chunk: Sequence[tuple[int, Factors]],
    places: Sequence[int],
    stack: Stack,
    routes: dict[str, Solver],
) -> Iterator[tuple[_Problems, Grams]]:
    inputs = Inputs(stack, [factors.x for _, factors in chunk])
    factors = chunk[0][1]
    together: dict[object, list[str]] = {}
    for name, route in routes.items():
        kind = (route, factors.dy[name].shape[-1], factors.heads.get(name))
        together.setdefault(kind, []).append(name)
    for names in together.values():
        pair = Pair(inputs, stack.of([own.dy[name] for name in names for _, own in chunk]))
        route, heads = routes[names[0]], factors.heads.get(names[0])
        of = [(name, layer, place) for name in names for layer, _ in chunk for place in places]
        yield _Problems(route, of, None, *pair.shape), grams_of(pair, route)
        if heads is not None:
            of_heads = [place for place in of for _ in range(heads.count)]
            shape = heads.shape(*pair.shape)
            yield _Problems(route, of_heads, heads, *shape), grams_of_heads(pair, heads, route)


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
    """The largest stack that a unit brings: X, or of projections of one shape dY, G where that is
    formed, or T×T matrices."""
    together = Counter((shape, routes[name]) for name, shape in shapes.items())
    sizes = [tokens * n for _, n in shapes.values()]
    for ((m, n), route), count in together.items():
        formed = m * n if route is Solver.weight_gram else tokens * tokens
        sizes.append(count * max(tokens * m, formed))
    return max(sizes)


def head_elements(factors: Factors) -> int:
    """Return how many elements the heads' small matrices of one unit have, in one layer."""
    shapes = _shapes(factors)
    widths = ((heads.count, heads.width(*shapes[name])) for name, heads in factors.heads.items())
    return sum(count * width**2 for count, width in widths)


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    size = max(size, 1)
    return (items[start : start + size] for start in range(0, len(items), size))
