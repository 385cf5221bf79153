"""Small pictures in lines of a table: values as dots with their intervals, on one scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

TEN_FOLD = 10.0
"""Values that differ by so much are drawn on a logarithmic scale."""

_MARGIN = 4.0
"""Per cent of the width on either side."""


@dataclass(frozen=True)
class Scale:
    """Where values lie between the left and the right end of a picture."""

    low: float
    high: float
    logarithmic: bool

    def at(self, value: float) -> float:
        """Give the place of a value in per cent of the width."""
        if self.logarithmic:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return _MARGIN + (100 - 2 * _MARGIN) * min(max(part, 0.0), 1.0)


def scale_of(values: Iterable[float]) -> Scale | None:
    """Choose a scale for all of these: from zero, or by factors where they differ ten-fold.

    None where there is nothing to draw.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    if low > 0 and high / low >= TEN_FOLD:
        return Scale(low, high, logarithmic=True)
    low, high = min(low, 0.0), max(high, 0.0)
    return Scale(low, high if high > low else low + 1, logarithmic=False)


def dots(
    scale: Scale, correct: Mapping[str, Any] | None, irrelevant: Mapping[str, Any] | None
) -> Markup:
    """Draw the mean of correct responses as a disk and that of irrelevant ones as a ring.

    Bars are intervals. It takes the width that it is given, and the colour of its text.
    """
    parts = [
        mark(scale, line, "mean", height, kind)
        for line, height, kind in ((irrelevant, 18, "ring"), (correct, 8, "disk"))
        if line is not None
    ]
    return Markup('<svg class="dots" aria-hidden="true">{}</svg>').format(Markup("").join(parts))


def mark(scale: Scale, line: Mapping[str, Any], name: str, y: int, kind: str) -> Markup:
    """Draw one value with its interval at height `y` pixels; nothing where it has no value."""
    value, low, high = line[name], line[f"{name}_low"], line[f"{name}_high"]
    if not math.isfinite(value):
        return Markup()
    bar = Markup()
    if math.isfinite(low) and math.isfinite(high):
        bar = Markup('<line class="{}" x1="{:.1f}%" x2="{:.1f}%" y1="{}" y2="{}"/>').format(
            kind, scale.at(low), scale.at(high), y, y
        )
    disk = Markup('<circle class="{}" cx="{:.1f}%" cy="{}" r="4.5"/>')
    return bar + disk.format(kind, scale.at(value), y)
