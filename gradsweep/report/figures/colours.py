"""Colours of CoT levels and of everything else, legible on white paper and on a dark screen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

from gradsweep.config import cot_reading_key, is_reasoning_level

LEGIBLE = 3.0
"""Contrast with the paper that WCAG asks of what carries a meaning in a picture."""
DARK_PAPER = "#14171a"

_ANCHORS = {"none": 0.0, "simplified": 0.72, "detailed": 1.0}
_FAST_TO_SLOW = LinearSegmentedColormap.from_list(
    "fast to slow",
    [
        (0.0, "#D55E00"),
        (0.24, "#D02A4A"),
        (0.48, "#B01E86"),
        (0.72, "#7439B8"),
        (1.0, "#0050A8"),
    ],
)
"""From warm and light to cool and dark, so that the order is seen without its hues too."""
_UNORDERED = ("#00795A", "#8C6900", "#5F6A72", "#007A99", "#7A3B1E")
PALETTE = ("#D55E00", "#0072B2", "#009E73", "#B0457F", "#8C6900", "#332288", "#5F6A72", "#7A1F1F")
"""Colours of what has no order, such as models: as Okabe and Ito's, the pale ones darkened."""


def level_colours(levels: Sequence[str]) -> dict[str, str]:
    """Choose the colour of each level, on white.

    The more reasoning, the further along one scale from orange by purple to blue: the study's
    levels have their places, parts of a rationale lie evenly between none and simplified. Controls
    of length and the user's own levels are no amount of reasoning: their colours are not on it.
    """
    ordered = sorted({*filter(is_reasoning_level, levels), *_ANCHORS}, key=cot_reading_key)
    parts = [level for level in ordered if level not in _ANCHORS]
    places = np.linspace(_ANCHORS["none"], _ANCHORS["simplified"], len(parts) + 2)[1:-1]
    of_level = _ANCHORS | dict(zip(parts, map(float, places), strict=True))
    others = [level for level in levels if level not in of_level]
    return {level: to_hex(_FAST_TO_SLOW(of_level[level])) for level in ordered} | dict(
        zip(others, cycle(_UNORDERED), strict=False)
    )


def darker(colour: str) -> str:
    """Halve a colour's brightness: it is still seen where it lies over `colour`."""
    red, green, blue = to_rgb(colour)
    return to_hex((0.5 * red, 0.5 * green, 0.5 * blue))


def on_dark(colour: str) -> str:
    """Mix a colour with as much white as makes it legible on `DARK_PAPER`, with some to spare."""
    own = np.array(to_rgb(colour))
    for white in np.linspace(0.1, 1, 19):
        mixed = to_hex(own + white * (1 - own))
        if contrast(mixed, DARK_PAPER) >= 1.5 * LEGIBLE:
            return mixed
    return "#ffffff"


def on_both(colour: str) -> dict[str, str]:
    """Name a colour on the light page and on the dark one."""
    return {"light": colour, "dark": on_dark(colour)}


def contrast(one: str, other: str) -> float:
    """Contrast of two colours by WCAG 2: 1 for the same, 21 for black on white."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
