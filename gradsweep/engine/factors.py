"""Gradient factors: X and dY of projections that share an input.

For y = x Wᵀ (W of m×n) and T tokens, the weight gradient is G = dYᵀX. Everything
that gradsweep reports follows from the factors; G itself need not be built.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from gradsweep.engine.batch import Batch


@dataclass(frozen=True)
class Factors:
    """Factors of one input in one layer, for a batch or for one sample of it.

    q, k and v read the same X, so it is kept once beside the dY of each.
    """

    layer: int
    x: Float[Tensor, "*batch tokens n"]
    """Inputs, in the model's dtype; at padding, whatever the model computed there."""
    dy: dict[str, Float[Tensor, "*batch tokens m"]]
    """Projection -> gradient of the summed losses by that projection's output."""


def split_samples(factors: Factors, batch: Batch) -> Iterator[tuple[int, Factors]]:
    """Each sample's own factors (T×n and T×m, padding cut off) with its place in the batch.

    A batch sums its samples' losses and attention never crosses samples, so the
    rows of a sample are exactly the factors it would have alone.
    """
    # Some modules see their tokens as one long list (OPT's feed-forward).
    shape = (*batch.input_ids.shape, -1)
    x = factors.x.reshape(shape)
    dys = {name: dy.reshape(shape) for name, dy in factors.dy.items()}
    for i, (start, stop) in enumerate(batch.token_spans):
        dy = {name: dy[i, start:stop] for name, dy in dys.items()}
        yield i, Factors(factors.layer, x[i, start:stop], dy)
