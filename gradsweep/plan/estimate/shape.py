"""A transformer's shape, from its number of parameters P: a config knows no more of it.

Fitted to conf/model:

    width d         ≈ 2.25·P^⅓
    layers L        ≈ P^⅓/50, at least 24
    widths L·d      ≈ P^⅔/27, which activations follow

From 0.5 to 70 B parameters, L·d with the width of the feed-forward counted in comes out within a
factor of 1.25, the others within 1.9; smaller models, which are deep or mostly vocabulary, within
a factor of two.
"""

from __future__ import annotations

from dataclasses import dataclass

FEWEST_LAYERS = 24
QUERIES_OF_A_KEY = 4
"""Heads that share a key and a value, in most of today's models."""


@dataclass(frozen=True)
class Shape:
    """A transformer's shape; approximate, hence no whole numbers."""

    width: float
    """Hidden size d."""
    layers: float
    widths: float
    """d, summed over layers."""


def shape_of(parameters: int) -> Shape:
    """Return the shape by the rules above."""
    root = parameters ** (1 / 3)
    return Shape(2.25 * root, max(FEWEST_LAYERS, root / 50), root**2 / 27)
