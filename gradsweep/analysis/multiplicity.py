"""p-values corrected for having looked at several projections or layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gradsweep.errors import ConfigError

Floats = NDArray[np.float64]


def holm(p_values: Floats) -> Floats:
    """Adjust by step-down Bonferroni (Holm, 1979), which bounds the chance of any false discovery.

    With p₍₁₎ ≤ … ≤ p₍ₘ₎ the adjusted p₍ᵢ₎ is max over j ≤ i of min(1, (m − j + 1) p₍ⱼ₎).
    """
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1)
    return adjusted


def benjamini_hochberg(p_values: Floats) -> Floats:
    """Adjust by the step-up procedure (Benjamini & Hochberg, 1995).

    It bounds the false discovery rate.

    The adjusted p₍ᵢ₎ is min over j ≥ i of min(1, m p₍ⱼ₎ / j).
    """
    order = np.argsort(p_values, kind="stable")
    scaled = len(p_values) / (1 + np.arange(len(p_values))) * p_values[order]
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return adjusted


CORRECTIONS: dict[str, Callable[[Floats], Floats]] = {
    "holm": holm,
    "benjamini_hochberg": benjamini_hochberg,
    "none": np.copy,
}


def adjusted_p_values(p_values: Floats, correction: str) -> Floats:
    """Adjust `p_values` (m,) of one family. A NaN stays NaN and is no member of the family.

    Raises:
        ConfigError: an unknown correction.
    """
    if correction not in CORRECTIONS:
        allowed = ", ".join(CORRECTIONS)
        raise ConfigError(f"correction={correction} is unknown; allowed are {allowed}")
    adjusted = np.full_like(p_values, np.nan)
    known = ~np.isnan(p_values)
    adjusted[known] = CORRECTIONS[correction](p_values[known])
    return adjusted
