"""MAD as bars: heights are the numbers, in every part."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from gradsweep.analysis import curves, mean_absolute_difference, part_intervals, resampled
from gradsweep.report.figures.mad_bars import draw_mad_bars


def bars(rows: pl.DataFrame) -> Figure | None:
    return draw_mad_bars(mean_absolute_difference(curves(rows)), "nuclear_norm")


def heights(panel) -> dict[str, list[float]]:
    """By condition, from left to right."""
    return {
        container.get_label(): [bar.get_height() for bar in container]
        for container in panel.containers
    }


def test_heights_are_the_mads(plant):
    # The curves alternate, so MAD is the level times 1, 2, 3 and 4 in Q, K, V and O.
    figure = bars(plant())
    assert [panel.get_title() for panel in figure.axes] == [
        "all layers", "early layers", "middle layers", "late layers"]  # fmt: skip
    for panel in figure.axes:
        found = heights(panel)
        assert found["none correct"] == pytest.approx([4, 8, 12, 16])
        assert found["detailed irrelevant"] == pytest.approx([0.9, 1.8, 2.7, 3.6])
        assert [text.get_text() for text in panel.get_xticklabels()] == ["Q", "K", "V", "O"]


def test_bars_do_not_overlap_and_stand_over_their_projection(plant):
    (panel, *_) = bars(plant()).axes
    spans = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in panel.patches)
    assert len(spans) == 24
    assert all(left[1] < right[0] for left, right in pairwise(spans))
    assert [round(np.mean(span)) for span in spans] == [
        place for place in range(4) for _ in "123456"
    ]


def test_irrelevant_is_outlined(plant):
    (panel, *_) = bars(plant()).axes
    faces = {c.get_label(): c[0].get_facecolor() for c in panel.containers}
    assert all(
        (face == (1, 1, 1, 1)) == name.endswith("irrelevant") for name, face in faces.items()
    )


def test_axes_share_y_from_zero_and_are_labelled(plant):
    figure = bars(plant())
    assert len({panel.get_ylim() for panel in figure.axes}) == 1
    assert figure.axes[0].get_ylim()[0] == 0
    assert figure.get_supylabel() == "MAD of the nuclear norm"
    assert figure.get_supxlabel() == "projection"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "no CoT, correct",
        "simplified CoT, correct",
        "detailed CoT, correct",
        "irrelevant",
    ]


def test_a_condition_without_a_projection_leaves_its_place_empty(plant):
    rows = plant().filter((pl.col("projection") != "k") | (pl.col("cot") == "none"))
    (panel, *_) = bars(rows).axes
    assert len(heights(panel)["none correct"]) == 4
    assert len(heights(panel)["detailed correct"]) == 3
    (_, _, over_v, _) = (container[1] for container in list(panel.containers)[2:])
    assert round(over_v.get_x() + over_v.get_width() / 2) == 2


def test_whiskers_are_the_intervals_and_a_title_may_be_ones_own(plant):
    rows = plant({("none", "correct"): 4.0}, projections="qk")
    ends = part_intervals(resampled(rows, "nuclear_norm"))
    mads = mean_absolute_difference(curves(rows)).join(ends, on=["point_id", "projection", "part"])
    figure = draw_mad_bars(mads, "nuclear_norm", title="Figure 2")
    assert figure.legends[0].get_title().get_text() == "Figure 2"
    (whiskers,) = figure.axes[0].collections
    of_all = ends.filter(part="all").sort("projection", descending=True)
    for segment, line in zip(whiskers.get_segments(), of_all.to_dicts(), strict=True):
        assert segment[:, 1].tolist() == pytest.approx([line["mad_low"], line["mad_high"]])


def test_parts_too_small_for_a_mad_have_no_panel(plant):
    assert [panel.get_title() for panel in bars(plant(n_layers=4)).axes] == [
        "all layers", "middle layers"]  # fmt: skip
    assert bars(plant(n_layers=1)) is None


@pytest.mark.parametrize("projections", ["q", "qkvo"])
def test_it_is_readable_at_its_size(plant, readable, projections):
    figure = bars(plant(model="a_model_7b_instruct", series="n_samples=1", projections=projections))
    assert figure.get_figwidth() == pytest.approx(6.9)
    readable(figure)
