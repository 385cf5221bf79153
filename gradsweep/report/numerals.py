"""Numbers as text: aligned in a table, short but distinguishable in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = "–"


def aligned(values: Sequence[float]) -> list[str]:
    """Write all with the same decimals: two digits of the smallest, between one and four decimals.

    Switches to powers of ten for all when one is 100,000 or more, or all are below 0.001. A
    value that is not finite is a dash.
    """
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0]
    if sizes and (max(sizes) >= 1e5 or max(sizes) < 1e-3):
        return [f"{value:.1e}" if math.isfinite(value) else MISSING for value in values]
    decimals = 1 - math.floor(math.log10(min(sizes))) if sizes else 1
    decimals = min(max(decimals, 1), 4)
    return [f"{value:.{decimals}f}" if math.isfinite(value) else MISSING for value in values]


def distinct(values: Sequence[float]) -> list[str]:
    """Write two significant digits, more where different values would read the same."""
    texts: list[str] = []
    for digits in range(2, 7):
        texts = [_significant(value, digits) for value in values]
        told_apart = {text for text in texts if text != MISSING}
        if len(told_apart) == len({value for value in values if math.isfinite(value)}):
            break
    return texts


def _significant(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if not -4 <= exponent < 5:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(digits - 1 - exponent, 0)}f}"
