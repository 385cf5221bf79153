"""Figures of many CoT levels: few lines in a panel, each level in one of them."""

import polars as pl
import pytest

from gradsweep.report.figures.layer_curves import draw_layer_curves
from gradsweep.report.figures.level_groups import MOST_TOGETHER, level_groups
from gradsweep.report.figures.mad_bars import draw_mad_bars
from gradsweep.report.figures.relative_difference import draw_relative_differences

LEVELS = [
    *("none", "none_as_long_as_detailed", "partial_0", "partial_1", "partial_2", "partial_4"),
    *("simplified", "detailed", "detailed_corrupted", "detailed_drop", "detailed_shuffled"),
]
"""Of `+experiment=open_questions`."""


def test_every_level_is_in_one_group_and_few_are_not_parted():
    groups = level_groups(LEVELS)
    assert sorted(level for levels in groups.values() for level in levels) == sorted(LEVELS)
    assert all(len(levels) <= MOST_TOGETHER for levels in groups.values())
    assert level_groups(LEVELS[:3]) == {"": LEVELS[:3]}


def frame(**columns: object) -> pl.DataFrame:
    """A line per level, layer and projection."""
    lines = [
        {"model": "tiny", "dataset": "sums", "cot": cot, "correctness": "correct", "layer": layer,
         "projection": name, **columns}
        for cot in LEVELS for layer in range(3) for name in "qv"
    ]  # fmt: skip
    return pl.DataFrame(lines)


CURVES = frame(mean=1.0, ci_low=0.9, ci_high=1.1)
DIFFERENCES = frame(relative_difference=0.1)
MADS = frame(mad=0.5, part="all").unique(["cot", "projection"], maintain_order=True)


@pytest.mark.parametrize(
    ("draw", "numbers"),
    [(draw_relative_differences, DIFFERENCES), (draw_mad_bars, MADS), (draw_layer_curves, CURVES)],
)
def test_a_figure_of_many_levels_is_readable_and_has_a_row_for_each_group(draw, numbers, readable):
    figure = draw(numbers, "nuclear_norm")
    readable(figure)
    for panel in figure.axes:
        shown = {artist.get_label() for artist in [*panel.lines, *panel.containers]}
        assert len({name for name in shown if not name.startswith("_")}) <= MOST_TOGETHER
