"""Cosines between the gradients of one unit, from their factors (arXiv 2504.10766).

For G = dYᵀX and G' = dY'ᵀX' of the same shape (m×n) and the same T tokens

    ⟨G, G'⟩ = tr(GᵀG') = Σ (XX'ᵀ)∘(dYdY'ᵀ)        cos = ⟨G, G'⟩ / (‖G‖_F ‖G'‖_F)

so that two T×T products do where T is small. Where T is large beside m and n, G is formed
once and serves all its pairs. Everything is float64, whatever the model's dtype.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from gradsweep.config import Solver, SpectraOptions
from gradsweep.engine.factors import Factors
from gradsweep.engine.spectra.backend import Array
from gradsweep.engine.spectra.backends import backend_for
from gradsweep.records import SpectrumRow

PARTNERS = (("q", "o"), ("k", "v"))
"""Projections of one layer that are compared: their weights have the same shape in most models."""

PRODUCTS_PER_GRADIENT = 1.5
"""Inner products by gradient: the next layer's in full, the partner's shared by two."""


@dataclass(frozen=True)
class Gradient:
    """One gradient G = dYᵀX of one unit."""

    x: Array
    """X (T×n), float64."""
    dy: Array
    """dY (T×m), float64."""
    norm: float
    """‖G‖_F; 0 where it is rounding noise."""
    formed: bool
    """Whether inner products take G itself rather than the factors."""
    alone: Array | None = None
    """G (m×n) where the factors were let go: x and dy have no rows then."""

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n), the shape of the weight."""
        return self.dy.shape[1], self.x.shape[1]

    @cached_property
    def g(self) -> Array:
        return self.dy.T @ self.x if self.alone is None else self.alone

    def without_factors(self) -> Gradient:
        """Keep G alone where it is formed; a sum, unlike a slice, holds on to no row."""
        if not self.formed:
            return self
        return replace(self, x=self.x[:0] + 0, dy=self.dy[:0] + 0, alone=self.g)


class UnitCosines:
    """Fills in the cosines of one unit's rows, layer by layer, the last layer first.

    Holds the gradients of one layer until the layer below has come, or of all layers until the
    first one has: as float64 factors, or as G where that is smaller.
    """

    def __init__(self, options: SpectraOptions | None = None) -> None:
        self._options = options or SpectraOptions(similarities=True)
        self._above: dict[int, dict[str, Gradient]] = {}

    def complete(
        self, rows: Sequence[SpectrumRow], factors: Sequence[Factors]
    ) -> list[SpectrumRow]:
        """The rows of one layer with the cosines that the options ask for.

        Args:
            rows: of one unit in one layer, without cosines.
            factors: what these rows were computed from, X (T×n) and dY (T×m) of that unit.
        """
        layer, every = rows[0].layer, self._options.layer_cosines
        here = layer_gradients(rows, factors, smallest=every)
        products = InputProducts()
        device = factors[0].x.device
        to_layers = {
            other: {
                name: _cosine(here[name], above[name], products)
                for name in here.keys() & above.keys()
            }
            for other, above in self._above.items()
            if every or other == layer + 1
            for above in [_on_device(above, device)]
        }
        if self._options.similarities:
            rows = self._with_neighbours(rows, here, to_layers.get(layer + 1, {}), products)
        if every:
            rows = [replace(row, layer_cosines=_from_next(row, to_layers)) for row in rows]
            here = {name: gradient.without_factors() for name, gradient in here.items()}
        self._above = {**(self._above if every else {}), layer: here}
        return list(rows)

    @staticmethod
    def _with_neighbours(
        rows: Sequence[SpectrumRow],
        here: Mapping[str, Gradient],
        to_next: Mapping[str, float],
        products: InputProducts,
    ) -> list[SpectrumRow]:
        """The rows with `cosine_next_layer` and `cosine_partner`."""
        to_partner: dict[str, float] = {}
        for one, other in PARTNERS:
            if one in here and other in here:
                value = _cosine(here[one], here[other], products)
                to_partner |= {one: value, other: value}
        return [
            replace(
                row,
                cosine_next_layer=to_next.get(row.projection, math.nan),
                cosine_partner=to_partner.get(row.projection, math.nan),
            )
            for row in rows
        ]


def _from_next(row: SpectrumRow, to_layers: Mapping[int, Mapping[str, float]]) -> list[float]:
    """A row's cosines with the next layer, the one after it, … up to the last one."""
    last = max(to_layers, default=row.layer)
    return [
        to_layers.get(other, {}).get(row.projection, math.nan)
        for other in range(row.layer + 1, last + 1)
    ]


def unit_cosines(options: SpectraOptions, n_units: int) -> list[UnitCosines]:
    """Return one for each unit of a batch; none where the options ask for no cosines."""
    asked = options.similarities or options.layer_cosines
    return [UnitCosines(options) for _ in range(n_units) if asked]


class InputProducts:
    """XX'ᵀ (T×T) of every two inputs, computed once: q, k and v of a layer share theirs."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int], Array] = {}

    def of(self, x: Array, other: Array) -> Array:
        key = id(x), id(other)
        if key not in self._found:
            self._found[key] = x @ other.T
        return self._found[key]


def _on_device(gradients: dict[str, Gradient], device: torch.device) -> dict[str, Gradient]:
    """The same gradients there: neighbouring layers may lie on different devices."""
    linalg = backend_for(device)
    x = {id(g.x): linalg.moved(g.x, device) for g in gradients.values()}
    if all(x[id(g.x)] is g.x for g in gradients.values()):
        return gradients  # with what they have cached
    return {
        name: replace(
            g,
            x=x[id(g.x)],
            dy=linalg.moved(g.dy, device),
            alone=None if g.alone is None else linalg.moved(g.alone, device),
        )
        for name, g in gradients.items()
    }


def _cosine(a: Gradient, b: Gradient, products: InputProducts) -> float:
    """⟨A, B⟩ / (‖A‖_F ‖B‖_F); NaN when the shapes differ, or when a gradient is zero."""
    if a.shape != b.shape or not a.norm * b.norm:
        return math.nan
    return inner_product(a, b, products) / (a.norm * b.norm)


def inner_product(a: Gradient, b: Gradient, products: InputProducts) -> float:
    if a.formed or b.formed:
        return float(a.g.ravel() @ b.g.ravel())
    return float(products.of(a.x, b.x).ravel() @ (a.dy @ b.dy.T).ravel())


def layer_gradients(
    rows: Sequence[SpectrumRow],
    factors: Sequence[Factors],
    products_per_gradient: float = PRODUCTS_PER_GRADIENT,
    *,
    smallest: bool = False,
) -> dict[str, Gradient]:
    """Take gradients by projection, as G where that is cheaper or the spectrum needed it.

    The second covers factors that cancel, where sums over tokens lose digits and G does not. With
    `smallest`, for gradients that are kept, it is formed where it takes less memory than X and dY,
    which are let go.
    """
    row_of = {row.projection: row for row in rows}
    gradients = {}
    for of_input in factors:
        linalg = backend_for(of_input.x.device)
        x = linalg.float64(of_input.x)
        for name, values in of_input.dy.items():
            row, dy = row_of[name], linalg.float64(values)
            needed = row.solver != Solver.token_gram.name
            shape = dy.shape[1], x.shape[1]
            formed = needed or (
                is_smaller(len(x), *shape)
                if smallest
                else forming_is_cheaper(len(x), *shape, products_per_gradient)
            )
            norm = row.frobenius_norm if row.rank else 0.0
            gradients[name] = Gradient(x, dy, norm, formed)
    return gradients


def forming_is_cheaper(
    tokens: int, m: int, n: int, products: float = PRODUCTS_PER_GRADIENT
) -> bool:
    """Whether G takes fewer flops than the inner products that it saves, of T×T matrices."""
    return tokens * m * n < products * tokens**2 * (m + n)


def is_smaller(tokens: int, m: int, n: int) -> bool:
    """Whether G (m×n) has fewer numbers than its factors."""
    return m * n < tokens * (m + n)
