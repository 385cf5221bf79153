"""How the gradients of a unit's members lie to each other, from their factors.

The Gram matrix ⟨G_i, G_j⟩ of the members' shares of the unit's gradient needs no gradient: two
T_i×T_j products a pair do where T is small (`similarity`). Everything is float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from gradsweep.engine.factors import Factors
from gradsweep.engine.spectra.similarity import InputProducts, inner_product, layer_gradients
from gradsweep.records import SpectrumRow

Gram = Float64[np.ndarray, "members members"]


def member_metrics(
    rows: Sequence[Sequence[SpectrumRow]],
    factors: Sequence[Sequence[Factors]],
    signs: Sequence[float],
) -> dict[str, tuple[float, float]]:
    """Return projection -> (`member_cosine`, `member_effective_rank`) of one unit in one layer.

    Args:
        rows: of each member.
        factors: what they were computed from, X (T×n) and dY (T×m) of that member.
        signs: of each member's weight on ∇log p: what a loss pushes away points against it.
    """
    return {
        name: (_mean_cosine(gram, signs), _effective_rank(gram))
        for name, gram in _grams(rows, factors).items()
    }


def _grams(
    rows: Sequence[Sequence[SpectrumRow]], factors: Sequence[Sequence[Factors]]
) -> Mapping[str, Gram]:
    """By projection; members without a gradient have a row of zeros."""
    n_members = len(rows)
    products, of_pairs = InputProducts(), (n_members - 1) / 2
    members = [layer_gradients(r, f, of_pairs) for r, f in zip(rows, factors, strict=True)]
    grams: dict[str, Gram] = {}
    for name in list(members[0]):
        gradients = [member[name] for member in members]
        gram = np.diag([gradient.norm**2 for gradient in gradients])
        for i, one in enumerate(gradients):
            for j in range(i):
                if one.norm * gradients[j].norm:
                    gram[i, j] = gram[j, i] = inner_product(one, gradients[j], products)
        grams[name] = gram
        for member in members:
            del member[name]  # with the G that it may have formed
    return grams


def _mean_cosine(gram: Gram, signs: Sequence[float]) -> float:
    """Over the pairs of members that have a gradient; NaN without one."""
    norms = np.sqrt(np.diag(gram))
    known = norms > 0
    if known.sum() < 2:
        return math.nan
    signed = np.asarray(signs)[known] / norms[known]
    cosines = gram[np.ix_(known, known)] * np.outer(signed, signed)
    return float(cosines[np.triu_indices(len(cosines), 1)].mean())


def _effective_rank(gram: Gram) -> float:
    """exp(−Σ p log p) of the eigenvalues' shares; NaN where fewer than two have a gradient."""
    if (np.diag(gram) > 0).sum() < 2:
        return math.nan
    shares = np.linalg.eigvalsh(gram).clip(min=0)
    shares = shares[shares > 0] / shares.sum()
    return math.exp(-float(shares @ np.log(shares)))
