"""Early, middle and late layers (paper section 3, the parts of the MAD tables)."""

from __future__ import annotations

PARTS = ("early", "middle", "late")

_PAPER_PARTS = {26: (7, 13, 6), 28: (7, 14, 7), 32: (10, 10, 12), 42: (12, 18, 12)}
"""The paper's cuts by number of layers: Gemma-2-2b, Qwen2-1.5B, the Llamas, Gemma-2-9b."""


def layer_parts(n_layers: int) -> tuple[int, int, int]:
    """Number of (early, middle, late) layers of a model; they sum to `n_layers`.

    The paper's cuts where it has a model of that depth, otherwise thirds with the remainder in
    the middle: 30 gives 10, 10, 10 and 16 gives 5, 6, 5.
    """
    if n_layers < 1:
        raise ValueError(f"n_layers must be at least 1, got {n_layers}")
    third = n_layers // 3
    return _PAPER_PARTS.get(n_layers, (third, n_layers - 2 * third, third))
