"""Optional metrics of a gradient that its singular values do not tell, from its factors.

The eigenvalues λ of a square G = dYᵀX other than zero are those of XdYᵀ (T×T): where tokens are
fewer than features, these are what is solved for. Everything is float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gradsweep.config import SpectraOptions
from gradsweep.engine.factors import Factors
from gradsweep.engine.spectra.backend import Array, Backend
from gradsweep.records import SpectrumRow


def with_factor_metrics(
    rows: Sequence[SpectrumRow],
    factors: Sequence[Factors],
    backend: Backend,
    options: SpectraOptions,
) -> list[SpectrumRow]:
    """Return the rows of one unit in one layer with the metrics that the options ask for.

    Args:
        rows: of whole matrices.
        factors: what they were computed from, X (T×n) and dY (T×m) of that unit.
        backend: of the device where the factors lie.
        options: `spectral_radius` and `optimizer_geometry`.
    """
    row_of = {row.projection: row for row in rows}
    for of_input in factors:
        x = backend.float64(of_input.x)
        input_rank = _input_rank(x, backend) if options.optimizer_geometry else math.nan
        for name, values in of_input.dy.items():
            row = row_of[name]
            if options.optimizer_geometry:
                nuclear = nuclear_rank(row)
                row = replace(row, nuclear_rank=nuclear, input_stable_rank=input_rank)
            if options.spectral_radius:
                radius = spectral_radius(x, backend.float64(values), backend)
                row = replace(row, spectral_radius=radius)
            row_of[name] = row
    return [row_of[row.projection] for row in rows]


def nuclear_rank(row: SpectrumRow) -> float:
    """Return (‖G‖_*/‖G‖_F)²; NaN for a zero gradient."""
    if not (row.rank and row.frobenius_norm):
        return math.nan
    return (row.nuclear_norm / row.frobenius_norm) ** 2


def spectral_radius(x: Array, dy: Array, backend: Backend) -> float:
    """Return max |λ| of G = dYᵀX, for X (T×n) and dY (T×m).

    NaN where G is not square or not finite, or where the eigenvalues do not converge.
    """
    tokens, n = x.shape
    if dy.shape[1] != n:
        return math.nan
    eigenvalues = backend.eigvals(x @ dy.T if tokens < n else dy.T @ x)
    return math.nan if eigenvalues is None else float(np.abs(eigenvalues).max())


def _input_rank(x: Array, backend: Backend) -> float:
    """‖X‖²_F/σ₁(X)²; NaN where X is zero or not finite."""
    (total,) = backend.scalars((x * x).sum())
    if not (math.isfinite(total) and total > 0):
        return math.nan
    (eigenvalues,) = backend.eigvalsh([x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x])
    return math.nan if eigenvalues is None else total / float(eigenvalues[-1])
