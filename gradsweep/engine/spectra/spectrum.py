"""The singular values of one gradient, with what is needed to trust them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

CHECKSUM_TOLERANCE = 1e-6
"""Largest |Σσ² − ‖G‖²_F| / ‖G‖²_F of a spectrum that is taken as it is."""


@dataclass(frozen=True)
class Spectrum:
    """Singular values of one gradient G = dYᵀX."""

    sigma: Float64[np.ndarray, " r"]
    """Descending, never negative; r = min(T, m, n)."""
    frobenius_norm: float
    """‖G‖_F = (Σ XXᵀ∘dYdYᵀ)^½, from the factors alone."""
    solver: str
    """The route that gave `sigma`."""
    token_norm: float
    """(Σ_t ‖x_t‖²‖dy_t‖²)^½: the norm that G would have if its tokens did not cancel. Its rounding
    errors are of this size times the precision of the factors (docs/numerics.md)."""
    heads: tuple[Spectrum, ...] = ()
    """Of each attention head's part of G, in order; empty where single heads are not measured."""

    @cached_property
    def nuclear_norm(self) -> float:
        """Σσ."""
        return float(self.sigma.sum())

    @cached_property
    def sum_of_squares(self) -> float:
        """Σσ²."""
        return float(self.sigma @ self.sigma)

    @cached_property
    def entropy(self) -> float:
        """−Σ p log p with p = σ/Σσ, in nats; 0·log 0 counts as 0. Σσ is not 0."""
        p = self.sigma[self.sigma > 0] / self.nuclear_norm
        return -float(p @ np.log(p))

    @cached_property
    def checksum_error(self) -> float:
        """|Σσ² − ‖G‖²_F| / ‖G‖²_F; 0 for a zero gradient, NaN when something is not finite."""
        squares = self.sum_of_squares
        reference = self.frobenius_norm**2
        if squares == reference == 0.0:
            return 0.0
        return abs(squares - reference) / reference if reference else math.inf

    @property
    def holds(self) -> bool:
        """Whether the checksum is within `CHECKSUM_TOLERANCE` (NaN is not)."""
        return self.checksum_error <= CHECKSUM_TOLERANCE


def spectra_of(
    sigma: Float64[np.ndarray, "k r"], norms: Sequence[tuple[float, float]], solver: str
) -> list[Spectrum]:
    """Return a spectrum of each row, with its sums known: a few operations for all of them, where
    each by itself takes the host longer than a GPU took for its singular values.

    Args:
        sigma: as `Spectrum.sigma`.
        norms: ‖G‖_F and `Spectrum.token_norm` of each.
        solver: as `Spectrum.solver`.
    """
    found = [
        Spectrum(own, frobenius, solver, token_norm)
        for own, (frobenius, token_norm) in zip(sigma, norms, strict=True)
    ]
    nuclear = sigma.sum(axis=1)
    sums = zip(found, nuclear.tolist(), _dot(sigma, sigma).tolist(), strict=True)
    for spectrum, norm, squares in sums:
        vars(spectrum).update(nuclear_norm=norm, sum_of_squares=squares)
    (full,) = np.nonzero((sigma[:, -1] > 0) & np.isfinite(nuclear))
    p = sigma[full] / nuclear[full, None]
    for place, entropy in zip(full, (-_dot(p, np.log(p))).tolist(), strict=True):
        vars(found[place])["entropy"] = entropy
    return found


def _dot(a: Float64[np.ndarray, "k r"], b: Float64[np.ndarray, "k r"]) -> Float64[np.ndarray, " k"]:
    """The product of each row of one and the other."""
    return np.asarray(np.matmul(a[:, None, :], b[:, :, None]).ravel())
