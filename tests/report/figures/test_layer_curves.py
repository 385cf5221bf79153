"""Layer curves as figures: the right panels and lines, and files that are whole or not there."""

import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from gradsweep.errors import ConfigError, DataError, StoreError
from gradsweep.report import layer_curves_figure, save_figures


def panels(figure: Figure, n_columns: int = 4) -> np.ndarray:
    return np.array(figure.axes).reshape(-1, n_columns)


@pytest.fixture(scope="module")
def six(plant) -> Figure:
    """The figure of all six conditions; tests only look at it."""
    return layer_curves_figure(plant())


def labels(panel) -> list[str]:
    return [line.get_label() for line in panel.get_lines()]


def test_rows_are_all_levels_then_each_level(six):
    grid = panels(six)
    assert grid.shape == (4, 4)
    assert [panel.get_title() for panel in grid[0]] == ["Q", "K", "V", "O"]
    assert [row[0].get_ylabel() for row in grid] == [
        "correct,\nall levels",
        "no CoT",
        "simplified CoT",
        "detailed CoT",
    ]
    assert labels(grid[0, 0]) == ["none correct", "simplified correct", "detailed correct"]
    for panel in grid[3]:
        assert labels(panel) == ["detailed correct", "detailed irrelevant"]


def test_lines_are_the_mean_curves(plant):
    grid = panels(layer_curves_figure(plant(n_layers=4)))
    correct, irrelevant = grid[1, 2].get_lines()
    np.testing.assert_array_equal(correct.get_xdata(), [0, 1, 2, 3])
    # V is three times the level: 4 for correct, 4.2 for irrelevant.
    np.testing.assert_allclose(correct.get_ydata(), 12 * np.array([0.5, 1.5, 0.5, 1.5]))
    np.testing.assert_allclose(irrelevant.get_ydata(), 12.6 * np.array([0.5, 1.5, 0.5, 1.5]))


def test_correct_is_solid_irrelevant_dashed_and_levels_have_their_colours(six):
    grid = panels(six)
    colours = [to_hex(line.get_color()) for line in grid[0, 0].get_lines()]
    assert len(set(colours)) == 3
    for row, colour in zip(grid[1:], colours, strict=True):
        correct, irrelevant = row[0].get_lines()
        assert to_hex(correct.get_color()) == colour
        assert correct.get_linestyle() == "-"
        assert irrelevant.get_linestyle() == "--"
        assert to_hex(irrelevant.get_color()) not in colours


def test_every_curve_and_band_is_inside_its_panel(six):
    for panel in six.axes:
        bottom, top = panel.get_ylim()
        left, right = panel.get_xlim()
        assert bottom == 0
        for line in panel.get_lines():
            assert max(line.get_ydata()) <= top
            assert left <= min(line.get_xdata())
            assert max(line.get_xdata()) <= right
        for band in panel.collections:
            assert band.get_datalim(panel.transData).y1 <= top


def test_y_is_shared_within_a_row_and_not_between_rows(six):
    grid = panels(six)
    for row in grid:
        assert len({panel.get_ylim() for panel in row}) == 1
    assert len({row[0].get_ylim() for row in grid}) > 1


def test_title_legend_and_axis_labels(six):
    (legend,) = six.legends
    assert legend.get_title().get_text() == "tiny · sums"
    assert [text.get_text() for text in legend.get_texts()] == [
        "no CoT, correct",
        "simplified CoT, correct",
        "detailed CoT, correct",
        "irrelevant",
    ]
    assert six.get_supylabel() == "nuclear norm Σσ"
    assert six.get_supxlabel() == "layer"


@pytest.mark.parametrize("name", ["tiny", "organisation/a-model-with-a-very-long-name" * 4])
@pytest.mark.parametrize("projections", ["q", "qkvo"])
def test_nothing_overlaps_or_leaves_the_page(plant, readable, name, projections):
    figure = layer_curves_figure(plant(model=name, projections=projections))
    readable(figure)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    page = figure.bbox
    assert page.x0 <= box.x0
    assert box.x1 <= page.x1
    assert box.y1 <= page.y1
    for panel in figure.axes:
        assert panel.get_tightbbox().y1 <= box.y0
    parts = [panel.get_tightbbox() for panel in figure.axes]
    for index, one in enumerate(parts):
        assert not any(one.overlaps(other) for other in parts[index + 1 :])


@pytest.mark.parametrize("n_layers", [1, 2, 7, 30, 80])
def test_ticks_are_layers(plant, n_layers):
    figure = layer_curves_figure(plant(n_layers=n_layers, n_samples=2, projections="q"))
    ticks = figure.axes[-1].get_xticks()
    assert len(ticks) >= 1
    assert set(ticks) <= set(range(n_layers))


def test_one_layer_is_visible(plant):
    for panel in layer_curves_figure(plant(n_layers=1, projections="q")).axes:
        assert all(line.get_marker() == "o" for line in panel.get_lines())


def test_one_condition_has_one_row(plant):
    grid = panels(layer_curves_figure(plant({("detailed", "correct"): 1.0})))
    assert grid.shape == (1, 4)
    assert labels(grid[0, 0]) == ["detailed correct"]


def test_correct_responses_alone_have_no_row_twice(plant):
    grid = panels(layer_curves_figure(plant().filter(pl.col("correctness") == "correct")))
    assert grid.shape == (1, 4)
    assert len(grid[0, 0].get_lines()) == 3


def test_irrelevant_responses_alone_are_shown(plant):
    grid = panels(layer_curves_figure(plant().filter(pl.col("correctness") == "irrelevant")))
    assert [labels(row[0]) for row in grid] == [
        ["none irrelevant"],
        ["simplified irrelevant"],
        ["detailed irrelevant"],
    ]


def test_measured_projections_only(plant):
    grid = panels(layer_curves_figure(plant(projections="qv")), 2)
    assert [panel.get_title() for panel in grid[0]] == ["Q", "V"]


def test_a_projection_measured_in_some_conditions_only_has_their_lines(plant):
    rows = plant().filter((pl.col("projection") != "k") | (pl.col("cot") == "none"))
    grid = panels(layer_curves_figure(rows))
    assert labels(grid[0, 1]) == ["none correct"]
    assert labels(grid[2, 1]) == []
    assert len(labels(grid[2, 2])) == 2


def test_a_name_is_not_read_as_mathematics(plant):
    figure = layer_curves_figure(plant({("none", "correct"): 1.0}, model="a$^b$", dataset="$"))
    figure.draw_without_rendering()
    assert not figure.legends[0].get_title().get_parse_math()


def test_levels_beyond_the_studys_have_colours_of_their_own(plant):
    levels = {(f"level_{index}", "correct"): 1.0 for index in range(4)}
    levels |= {("none", "correct"): 1.0, ("detailed", "correct"): 2.0}
    drawn = panels(layer_curves_figure(plant(levels))).flat
    assert len({to_hex(line.get_color()) for axes in drawn for line in axes.get_lines()}) == 6


def test_missing_values_leave_a_gap_not_a_zero(plant):
    rows = plant().with_columns(
        nuclear_norm=pl.when(pl.col("layer") == 2).then(float("nan")).otherwise("nuclear_norm")
    )
    (line, *_) = layer_curves_figure(rows).axes[0].get_lines()
    assert np.isnan(line.get_ydata()[2])
    assert np.isfinite(np.delete(line.get_ydata(), 2)).all()


def small(plant, level: float = 1.0, **axes: str) -> pl.DataFrame:
    """Rows whose figure is one panel, which is drawn in no time."""
    return plant({("none", "correct"): level}, projections="q", n_layers=3, **axes)


@pytest.mark.long
def test_files_are_written_for_every_model_and_dataset(plant, tmp_path):
    rows = pl.concat([small(plant), small(plant, model="org/other")])
    folder = tmp_path / "new" / "figures"
    paths = save_figures(rows, folder)
    assert [path.name for path in paths] == [
        "org-other__sums__nuclear_norm.png",
        "org-other__sums__nuclear_norm.pdf",
        "tiny__sums__nuclear_norm.png",
        "tiny__sums__nuclear_norm.pdf",
    ]
    assert sorted(folder.iterdir()) == sorted(paths)
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert paths[1].read_bytes().startswith(b"%PDF")
    width = int.from_bytes(paths[0].read_bytes()[16:20], "big")
    assert width == 200 * 3.3


def test_the_same_rows_give_the_same_bytes(plant, tmp_path):
    rows = small(plant)
    first = [path.read_bytes() for path in save_figures(rows, tmp_path)]
    again = save_figures(rows.sample(fraction=1, shuffle=True, seed=2), tmp_path)
    assert [path.read_bytes() for path in again] == first


def test_a_folder_that_cannot_be_written_is_one_clear_error(plant, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(StoreError, match=r"cannot write .*file"):
        save_figures(small(plant), blocked)


def test_a_failed_write_leaves_the_old_file_and_no_rest(plant, tmp_path, monkeypatch):
    (path, _) = save_figures(small(plant), tmp_path)
    before = path.read_bytes()
    names = sorted(tmp_path.iterdir())

    write_bytes = Path.write_bytes

    def full_disk(self, content):
        write_bytes(self, content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(StoreError, match="no space left"):
        save_figures(small(plant, level=9.0), tmp_path)
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == names


def test_no_rows_or_several_models_are_refused(plant, tmp_path):
    with pytest.raises(DataError, match="no rows"):
        layer_curves_figure(plant().clear())
    with pytest.raises(DataError, match="other · sums, tiny · sums"):
        layer_curves_figure(pl.concat([plant(), plant(model="other")]))
    with pytest.raises(ConfigError, match="allowed are"):
        layer_curves_figure(plant(), "nucular_norm")
    assert save_figures(plant().clear(), tmp_path) == []


def test_settings_of_matplotlib_are_left_alone(plant, tmp_path):
    before = matplotlib.rcParams.copy()
    save_figures(small(plant), tmp_path)
    assert matplotlib.rcParams.copy() == before


def loaded_by(code: str) -> list[str]:
    """Which of the heavy modules a fresh interpreter has after `code`."""
    heavy = ["torch", "matplotlib", "matplotlib.pyplot"]
    code += f"; import sys; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.long
def test_a_table_does_not_wait_for_matplotlib_nor_a_figure_for_pyplot():
    assert loaded_by("from gradsweep.report import comparison_table") == []
    assert loaded_by("from gradsweep.report import save_figures") == ["matplotlib"]
