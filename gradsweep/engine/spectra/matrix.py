"""Singular values of a gradient G (m×n) that exists as a matrix, in float64.

Where training has formed G, there are no tokens left to be cheaper with: σ² are the eigenvalues of
the smaller of GGᵀ and GᵀG (`weight_gram`), and where their sum misses ‖G‖²_F, G is decomposed
itself (`svd`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from gradsweep.config import Solver
from gradsweep.engine.spectra.backend import Array, Backend, LinAlgError
from gradsweep.engine.spectra.solved import solved_spectrum
from gradsweep.engine.spectra.spectrum import Spectrum


def matrix_spectra(
    matrices: Sequence[Tensor], backend: Backend, solver: Solver = Solver.auto
) -> list[Spectrum]:
    """Return the spectrum of every matrix (m×n, any sizes and dtype) on one device.

    `Spectrum.token_norm` is ‖G‖_F: what its tokens would have had is not known any more.

    Args:
        matrices: gradients; on CUDA the eigenvalues of all come together.
        backend: of their device.
        solver: `svd` decomposes every matrix; all others go by the smaller Gram matrix.
    """
    arrays = [backend.float64(matrix) for matrix in matrices]
    norms = [_frobenius_norm(array, backend) for array in arrays]
    solvable = [math.isfinite(norm) and solver is not Solver.svd for norm in norms]
    chosen = [array for array, ok in zip(arrays, solvable, strict=True) if ok]
    eigenvalues = iter(backend.gram_eigvalsh(chosen) if chosen else ())
    return [
        _solved(array, norm, next(eigenvalues) if ok else None, backend)
        for array, norm, ok in zip(arrays, norms, solvable, strict=True)
    ]


def scaled_spectrum(spectrum: Spectrum, factor: float) -> Spectrum:
    """Return the spectrum of `factor`·G, for a factor above 0."""
    return replace(
        spectrum,
        sigma=spectrum.sigma * factor,
        frobenius_norm=spectrum.frobenius_norm * factor,
        token_norm=spectrum.token_norm * factor,
    )


def _frobenius_norm(array: Array, backend: Backend) -> float:
    flat = array.reshape(-1)
    return math.sqrt(backend.scalars(flat @ flat)[0])


def _solved(
    array: Array, norm: float, eigenvalues: np.ndarray | None, backend: Backend
) -> Spectrum:
    rank = min(array.shape)
    found = solved_spectrum(Solver.weight_gram, rank, (norm, norm), eigenvalues)
    if found is not None:
        return found
    try:
        sigma = backend.svdvals(array)
    except LinAlgError:
        sigma = np.full(rank, math.nan)
    return Spectrum(sigma, norm, Solver.svd.name, norm)
