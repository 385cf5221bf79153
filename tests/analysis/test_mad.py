"""MAD of curves whose steps are known, and the parts that it is cut into."""

import numpy as np
import polars as pl
import pytest

from gradsweep.analysis import curves, layer_parts, mean_absolute_difference


def mad_by_part(rows: pl.DataFrame) -> dict[str, float]:
    found = mean_absolute_difference(curves(rows))
    return dict(found.select("part", "mad").iter_rows())


@pytest.mark.parametrize(
    ("n_layers", "parts"),
    [
        (26, (7, 13, 6)),
        (28, (7, 14, 7)),
        (32, (10, 10, 12)),
        (42, (12, 18, 12)),
        (30, (10, 10, 10)),
    ],
)
def test_parts_are_the_papers(n_layers, parts):
    assert layer_parts(n_layers) == parts


def test_parts_cover_every_depth():
    for n_layers in range(1, 130):
        early, middle, late = layer_parts(n_layers)
        assert early + middle + late == n_layers
        assert min(early, middle, late) >= 0


@pytest.mark.parametrize("n_layers", [0, -3])
def test_no_layers_have_no_parts(n_layers):
    with pytest.raises(ValueError, match="n_layers"):
        layer_parts(n_layers)


def test_mad_of_a_known_curve(plant):
    assert mad_by_part(plant(np.array([[1.0, 4.0, 2.0, 2.0]])))["all"] == pytest.approx(5 / 3)


def test_mad_is_of_the_mean_curve_not_the_mean_of_the_samples(plant):
    opposite = np.array([[1.0, 3.0, 1.0], [3.0, 1.0, 3.0]])
    assert mad_by_part(plant(opposite))["all"] == 0


@pytest.mark.parametrize("n_layers", [26, 28, 30, 32, 42])
def test_a_part_takes_the_steps_between_its_own_layers(plant, n_layers):
    early, middle, late = layer_parts(n_layers)
    # Steps of 1, 2 and 3 inside the parts and huge ones between them, which belong to no part.
    steps = [1.0] * (early - 1) + [1000.0] + [2.0] * (middle - 1) + [1000.0] + [3.0] * (late - 1)
    signs = np.where(np.arange(len(steps)) % 2, -1, 1)
    curve = np.concatenate([[5000.0], 5000.0 + np.cumsum(signs * steps)])
    found = mad_by_part(plant(curve[None, :]))
    assert found["early"] == pytest.approx(1)
    assert found["middle"] == pytest.approx(2)
    assert found["late"] == pytest.approx(3)
    assert found["all"] == pytest.approx(np.mean(steps))


def test_mad_scales_with_the_curve_and_ignores_its_level(plant):
    values = np.random.default_rng(0).lognormal(size=(5, 12))
    found = mad_by_part(plant(values))
    moved = mad_by_part(plant(3 * values + 7))
    assert moved == pytest.approx({part: 3 * mad for part, mad in found.items()})


def test_over_the_mean_scale_drops_out_and_level_counts(plant):
    def relative(values):
        return mean_absolute_difference(curves(plant(values)))["relative_mad"].to_numpy()

    curve = np.array([[1.0, 4.0, 2.0, 2.0, 3.0, 6.0]])
    found = relative(curve)
    # All, then parts of two layers each: their one step over their mean.
    assert found == pytest.approx([(3 + 2 + 0 + 1 + 3) / 5 / 3, 3 / 2.5, 0, 3 / 4.5])
    assert relative(10 * curve) == pytest.approx(found)
    assert np.isnan(relative(-curve)).all(), "cosines: a share of a negative mean says nothing"


def test_one_layer_has_no_difference(plant):
    found = mean_absolute_difference(curves(plant(np.ones((2, 1)))))
    assert found["mad"].is_nan().all()
    assert found["n_differences"].to_list() == [0, 0, 0, 0]


def test_a_missing_layer_never_joins_its_neighbours(plant):
    values = np.array([[1.0, 2.0, np.nan, 50.0, 53.0, 53.0]])
    found = mean_absolute_difference(curves(plant(values))).filter(pl.col("part") == "all")
    assert found["mad"].to_list() == [pytest.approx(4 / 3)]
    assert found["n_differences"].to_list() == [3]
    # The same when the layer has no rows at all.
    without = plant(values).filter(pl.col("layer") != 2)
    again = mean_absolute_difference(curves(without)).filter(pl.col("part") == "all")
    assert again["mad"].to_list() == [pytest.approx(4 / 3)]
