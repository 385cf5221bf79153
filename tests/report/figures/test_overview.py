"""All datasets of a model in one grid."""

import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_hex

from gradsweep.analysis import curves
from gradsweep.report.figures.layer_curves import draw_overview


def grid(figure, n_columns: int = 4) -> np.ndarray:
    return np.array(figure.axes).reshape(-1, n_columns)


def overview(rows: pl.DataFrame):
    return draw_overview(curves(rows), "nuclear_norm")


@pytest.fixture(scope="module")
def three(plant):
    """The second dataset has no simplified CoT, the third no V and nothing irrelevant."""
    second = plant(dataset="b").filter(pl.col("cot") != "simplified")
    third = plant(dataset="c").filter(
        pl.col("projection") != "v", pl.col("correctness") == "correct"
    )
    return overview(pl.concat([third, plant(dataset="a"), second]))


def test_rows_are_datasets_and_columns_projections(three):
    panels = grid(three)
    assert panels.shape == (3, 4)
    assert [row[0].get_ylabel() for row in panels] == ["a", "b", "c"]
    assert [panel.get_title() for panel in panels[0]] == ["Q", "K", "V", "O"]
    assert (three.get_supxlabel(), three.get_supylabel()) == ("layer", "nuclear norm Σσ")
    assert three.legends[0].get_title().get_text() == "tiny"


def test_what_is_missing_leaves_a_gap(three):
    n_lines = [[len(panel.get_lines()) for panel in row] for row in grid(three)]
    assert n_lines == [[6, 6, 6, 6], [4, 4, 4, 4], [3, 3, 0, 3]]


def test_a_level_has_one_colour_in_every_panel_and_irrelevant_is_its_darker_dashed_twin(three):
    colours: dict[str, set[str]] = {}
    for panel in three.axes:
        for line in panel.get_lines():
            colours.setdefault(str(line.get_label()), set()).add(to_hex(line.get_color()))
            dashed = line.get_linestyle() != "-"
            assert dashed == str(line.get_label()).endswith("irrelevant")
    assert all(len(found) == 1 for found in colours.values())
    assert len(set.union(*colours.values())) == 6
    for level in ("none", "simplified", "detailed"):
        (light,), (dark,) = colours[f"{level} correct"], colours[f"{level} irrelevant"]
        parts = [(int(light[i : i + 2], 16), int(dark[i : i + 2], 16)) for i in (1, 3, 5)]
        assert all(abs(bright / 2 - dim) <= 1 for bright, dim in parts)


def test_legend_has_every_condition_in_reading_order(three):
    assert [text.get_text() for text in three.legends[0].get_texts()] == [
        "no CoT, correct",
        "simplified CoT, correct",
        "detailed CoT, correct",
        "irrelevant",
    ]


def test_y_is_shared_by_the_projections_of_a_dataset_only(plant):
    rows = pl.concat([plant(dataset="a"), plant({("none", "correct"): 90.0}, dataset="b")])
    first, second = grid(overview(rows))
    assert len({panel.get_ylim() for panel in first}) == 1
    assert first[0].get_ylim() != second[0].get_ylim()
    assert first[0].get_ylim()[0] == 0


@pytest.mark.long
@pytest.mark.parametrize("n_datasets", [2, 7])
@pytest.mark.parametrize("projections", ["q", "qkvo"])
def test_it_is_readable_at_its_size(plant, readable, n_datasets, projections):
    rows = pl.concat(
        [
            plant(dataset=f"wiki_popular_{n}000", projections=projections, n_layers=32)
            for n in range(n_datasets)
        ]
    )
    figure = overview(rows)
    assert figure.get_figwidth() == pytest.approx(6.9 if projections == "qkvo" else 3.3)
    assert figure.get_figheight() <= 9.2
    readable(figure)
