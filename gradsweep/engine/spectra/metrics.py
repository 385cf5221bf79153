"""The metrics of one spectrum (paper section 3; effective rank from arXiv 2504.10766)."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float64

from gradsweep.engine.spectra.solve import Spectrum
from gradsweep.records import SpectrumRow


def rank_tolerance(dtype: torch.dtype, m: int, n: int) -> float:
    """eps·max(m, n), relative to σ₁: NumPy's convention at the precision of the factors."""
    return torch.finfo(dtype).eps * max(m, n)


def spectrum_row(
    spectrum: Spectrum, layer: int, projection: str, tolerance: float, kept: int | None = 0
) -> SpectrumRow:
    """All metrics of one gradient.

    `tolerance` is relative to σ₁ (rank, condition number); `kept` is how many of the largest
    singular values stay in the row, None for all.
    """
    sigma = spectrum.sigma
    nuclear, largest = float(sigma.sum()), float(sigma[0])
    above = sigma[sigma > tolerance * largest]
    entropy = _entropy(sigma, nuclear)
    return SpectrumRow(
        layer=layer,
        projection=projection,
        nuclear_norm=nuclear,
        sigma_max=largest,
        sigma_ratio=_ratio(largest, nuclear),
        frobenius_norm=spectrum.frobenius_norm,
        effective_rank=math.exp(entropy),
        stable_rank=_ratio(spectrum.frobenius_norm**2, largest**2),
        spectral_entropy=entropy,
        condition_number=_ratio(largest, float(above[-1])) if len(above) else math.nan,
        rank=len(above),
        checksum_error=spectrum.checksum_error,
        finite=spectrum.holds and math.isfinite(nuclear),
        solver=spectrum.solver,
        singular_values=None if kept == 0 else sigma[:kept].tolist(),
    )


def _entropy(sigma: Float64[np.ndarray, " r"], nuclear: float) -> float:
    """−Σ p log p with p = σ/Σσ, in nats; 0·log 0 counts as 0."""
    if not nuclear:
        return math.nan
    p = sigma[sigma > 0] / nuclear
    return -float(p @ np.log(p))


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan
