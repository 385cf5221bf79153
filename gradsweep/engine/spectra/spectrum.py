"""The singular values of one gradient, with what is needed to trust them."""

from __future__ import annotations

import math
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
    def checksum_error(self) -> float:
        """|Σσ² − ‖G‖²_F| / ‖G‖²_F; 0 for a zero gradient, NaN when something is not finite."""
        squares = float(self.sigma @ self.sigma)
        reference = self.frobenius_norm**2
        if squares == reference == 0.0:
            return 0.0
        return abs(squares - reference) / reference if reference else math.inf

    @property
    def holds(self) -> bool:
        """Whether the checksum is within `CHECKSUM_TOLERANCE` (NaN is not)."""
        return self.checksum_error <= CHECKSUM_TOLERANCE
