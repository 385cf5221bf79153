"""Colours that can be read, told apart, and say the order of the levels."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from gradsweep.report.figures.colours import (
    DARK_PAPER,
    LEGIBLE,
    PALETTE,
    contrast,
    level_colours,
    on_dark,
)

EIGHT = ["none", *(f"partial_{k}" for k in range(1, 6)), "simplified", "detailed"]
CONTROLS = ["none_as_long_as_detailed", "mine"]


def luminance_rank(colour: str) -> float:
    return contrast(colour, "#000000")


@pytest.mark.parametrize("colour", [*level_colours(EIGHT + CONTROLS).values(), *PALETTE])
def test_every_colour_is_legible_on_both_papers(colour):
    assert contrast(colour, "#ffffff") >= LEGIBLE
    assert contrast(on_dark(colour), DARK_PAPER) >= LEGIBLE


def test_eight_levels_have_eight_colours_that_differ():
    colours = level_colours(EIGHT + CONTROLS)
    for one, other in combinations((colours[level] for level in EIGHT + CONTROLS), 2):
        assert np.abs(np.subtract(to_rgb(one), to_rgb(other))).max() > 0.08


def test_more_reasoning_is_darker_and_bluer():
    colours = [level_colours(EIGHT)[level] for level in EIGHT]
    blueness = [to_rgb(colour)[2] - to_rgb(colour)[0] for colour in colours]
    assert blueness == sorted(blueness)
    assert luminance_rank(colours[0]) > luminance_rank(colours[6]) >= luminance_rank(colours[7])


def test_the_studys_levels_keep_their_colours_beside_any_other():
    study = ["none", "simplified", "detailed"]
    alone, among = level_colours(study), level_colours(EIGHT + CONTROLS)
    assert [alone[level] for level in study] == [among[level] for level in study]
