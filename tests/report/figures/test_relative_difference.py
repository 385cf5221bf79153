"""RD by layer: the lines are the numbers, the dots the five largest."""

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from gradsweep.analysis import relative_difference
from gradsweep.report.figures.relative_difference import draw_relative_differences
from gradsweep.report.measures import compute_measures


def drawn(rows: pl.DataFrame) -> Figure | None:
    return draw_relative_differences(relative_difference(rows), "nuclear_norm")


def with_growing_difference(rows: pl.DataFrame) -> pl.DataFrame:
    """Irrelevant responses differ by 1 % more in each layer."""
    correct = rows.filter(pl.col("correctness") == "correct")
    irrelevant = correct.with_columns(
        pl.col("nuclear_norm") * (1 + 0.01 * (1 + pl.col("layer"))),
        correctness=pl.lit("irrelevant"),
        point_id=pl.col("point_id") + "-irrelevant",
    )
    return pl.concat([correct, irrelevant])


def test_lines_are_rd_and_dots_are_where_it_is_largest(plant):
    figure = drawn(with_growing_difference(plant(n_layers=8)))
    assert [panel.get_title() for panel in figure.axes] == ["Q", "K", "V", "O"]
    for panel in figure.axes:
        line, dots = panel.get_lines()[:2]
        np.testing.assert_allclose(line.get_ydata(), 0.01 * np.arange(1, 9))
        assert sorted(dots.get_xdata()) == [3, 4, 5, 6, 7]


def test_bands_are_the_intervals(plant):
    differences = compute_measures(plant(projections="q"), "nuclear_norm").differences
    figure = draw_relative_differences(differences, "nuclear_norm", title="ours")
    assert figure.legends[0].get_title().get_text() == "ours"
    tops = [band.get_paths()[0].vertices[:, 1].max() for band in figure.axes[0].collections]
    ends = differences.group_by("cot", maintain_order=True).agg(pl.col("rd_high").max())
    assert tops == pytest.approx(ends["rd_high"].to_list())


def test_axes_and_legend_say_what_is_shown(plant):
    figure = drawn(plant())
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("layer", "RD of the nuclear norm")
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "tiny · sums · correct vs irrelevant"
    assert [text.get_text() for text in legend.get_texts()] == [
        "no CoT", "simplified CoT", "detailed CoT", "5 largest"]  # fmt: skip
    assert len({panel.get_ylim() for panel in figure.axes}) == 1
    assert figure.axes[0].get_ylim()[0] == 0


def test_a_level_that_has_one_kind_of_response_has_no_line(plant):
    rows = plant().filter((pl.col("cot") != "none") | (pl.col("correctness") == "correct"))
    figure = drawn(rows)
    assert [line.get_label() for line in figure.axes[0].get_lines()][::2] == [
        "simplified", "detailed"]  # fmt: skip


def test_a_projection_without_rd_has_no_panel(plant):
    only = (pl.col("projection") != "k") | (pl.col("correctness") == "correct")
    figure = drawn(plant(projections="qkv").filter(only))
    assert [panel.get_title() for panel in figure.axes] == ["Q", "V"]


def test_nothing_to_compare_has_no_figure(plant):
    assert drawn(plant().filter(pl.col("correctness") == "correct")) is None


def test_datasets_are_rows_and_one_without_rd_has_none(plant):
    alone = plant(dataset="c").filter(pl.col("correctness") == "correct")
    figure = drawn(pl.concat([plant(dataset="a"), alone, plant(dataset="b")]))
    assert [figure.axes[i].get_ylabel() for i in (0, 4)] == ["a", "b"]
    assert len(figure.axes) == 8
    assert figure.legends[0].get_title().get_text() == "tiny · correct vs irrelevant"


@pytest.mark.parametrize("projections", ["q", "qkvo"])
@pytest.mark.parametrize("datasets", [["sums"], ["aqua", "wiki_popular_1000"]])
def test_it_is_readable_at_its_size(plant, readable, projections, datasets):
    rows = pl.concat([plant(dataset=d, projections=projections, n_layers=32) for d in datasets])
    readable(drawn(rows))
