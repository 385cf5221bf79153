"""Gradient factors: X and dY of projections that share an input.

For y = x Wᵀ (W of m×n) and T tokens, the weight gradient is G = dYᵀX. Everything
that gradsweep reports follows from the factors; G itself need not be built.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gradsweep.engine.batch import Layout


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


def split_units(factors: Factors, layout: Layout) -> Iterator[Factors]:
    """Each unit's own factors (T×n and T×m, padding cut off), in order.

    A batch sums its units' losses and attention never crosses rows, so that the tokens of a
    row are exactly the factors it would have alone; a unit's rows are stacked along tokens:
    G = Σ_r dY_rᵀX_r = [dY₁;…]ᵀ[X₁;…].
    """
    # Some modules see their tokens as one long list (OPT's feed-forward).
    shape = (len(layout.spans), layout.length, -1)
    x = factors.x.reshape(shape)
    dys = {name: dy.reshape(shape) for name, dy in factors.dy.items()}
    for rows in layout.unit_rows:
        dy = {name: _stacked(values, rows, layout) for name, values in dys.items()}
        yield Factors(factors.layer, _stacked(x, rows, layout), dy)


def _stacked(values: Tensor, rows: range, layout: Layout) -> Tensor:
    """The real tokens of these rows; a view where there is one row."""
    parts = [values[row, slice(*layout.spans[row])] for row in rows]
    return parts[0] if len(parts) == 1 else torch.cat(parts)
