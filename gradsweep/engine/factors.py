"""Gradient factors: X and dY of projections that share an input.

For y = x Wᵀ (W of m×n) and T tokens, the weight gradient is G = dYᵀX. Everything
that gradsweep reports follows from the factors; G itself need not be built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from gradsweep.engine.batch import Layout
from gradsweep.models.projections import Heads

ROUNDING = 16 * torch.finfo(torch.float32).eps
"""Of the largest input: how far a library may round a row by its place in the batch. Folding moves
a gradient by no more than that. In 16 bits, where it would be much, inputs have to be equal."""


@dataclass(frozen=True)
class Factors:
    """Factors of one input in one layer, for a batch or for one unit of it.

    q, k and v read the same X, so it is kept once beside the dY of each.
    """

    layer: int
    x: Float[Tensor, "*batch tokens n"]
    """Inputs, in the model's dtype; at padding, whatever the model computed there."""
    dy: dict[str, Float[Tensor, "*batch tokens m"]]
    """Projection -> gradient of the summed losses by that projection's output."""
    token_norms: Mapping[str, float] = field(default_factory=dict)
    """Projection -> `Spectrum.token_norm` before tokens were put together; empty where none were.
    Their dy may cancel, and what is left is then known no better than what went in."""
    heads: dict[str, Heads] = field(default_factory=dict)
    """Projection -> its attention heads, whose spectra are wanted beside the whole matrix's."""


def split_units(factors: Factors, layout: Layout) -> Iterator[Factors]:
    """Each unit's own factors (T×n and T×m, padding cut off), in order.

    A batch sums its units' losses and attention never crosses rows, so that the tokens of a
    row are exactly the factors it would have alone; a unit's rows are stacked along tokens:
    G = Σ_r dY_rᵀX_r = [dY₁;…]ᵀ[X₁;…]. Tokens that a unit's rows begin with, as a prompt, have
    the same x in each of them: they are there once, with the sum of their dy.
    """
    # Some modules see their tokens as one long list (OPT's feed-forward).
    shape = (len(layout.spans), layout.length, -1)
    x = factors.x.reshape(shape)
    dys = {name: dy.reshape(shape) for name, dy in factors.dy.items()}
    for unit, rows in enumerate(layout.unit_rows):
        own_x = _tokens(x, rows, layout)
        shared = _shared_inputs(own_x, layout.shared[unit] if layout.shared else 0)
        own_dy = {name: _tokens(values, rows, layout) for name, values in dys.items()}
        dy = {name: _stacked(_summed(parts, shared), shared) for name, parts in own_dy.items()}
        norms = {name: _token_norm(own_x, parts) for name, parts in own_dy.items() if shared}
        yield Factors(factors.layer, _stacked(own_x, shared), dy, norms, factors.heads)


def _tokens(values: Tensor, rows: range, layout: Layout) -> list[Tensor]:
    """The real tokens of each of these rows; views."""
    return [values[row, slice(*layout.spans[row])] for row in rows]


def _shared_inputs(x: Sequence[Tensor], n_tokens: int) -> int:
    """How many of the first tokens may be there once: all of them, or none.

    In a model whose attention is not causal, equal tokens have different inputs in different rows.
    A device would have to be waited for to know.
    """
    if n_tokens == 0 or x[0].device.type != "cpu":
        return 0
    first = x[0][:n_tokens]
    farthest = ROUNDING * float(first.abs().max()) if first.dtype is torch.float32 else 0.0
    alike = (float((first - other[:n_tokens]).abs().max()) <= farthest for other in x[1:])
    return n_tokens if all(alike) else 0


def _summed(dy: list[Tensor], shared: int) -> list[Tensor]:
    """The first row's shared tokens get what the others' get, in float64: 16 bits would lose it."""
    if not shared:
        return dy
    first, *others = (of_row.double() for of_row in dy)
    total = sum((other[:shared] for other in others), first[:shared])
    return [torch.cat([total, first[shared:]]), *others]


def _token_norm(x: Sequence[Tensor], dy: Sequence[Tensor]) -> float:
    """(Σ_t ‖x_t‖²‖dy_t‖²)^½ over the tokens of all rows."""
    pairs = zip(x, dy, strict=True)
    squares = [(a.double().norm(dim=1) * b.double().norm(dim=1)).square().sum() for a, b in pairs]
    return float(torch.stack(squares).sum().sqrt())


def _stacked(parts: Sequence[Tensor], shared: int) -> Tensor:
    """One row's tokens after the other's, shared ones once; a view where there is one row."""
    if len(parts) == 1:
        return parts[0]
    return torch.cat([parts[0], *(part[shared:] for part in parts[1:])])
