"""Means of a curve over the parts of a model."""

import numpy as np
import polars as pl
import pytest

from gradsweep.analysis import curves, layer_parts, part_means


def by_part(rows: pl.DataFrame) -> dict[str, float]:
    return dict(part_means(curves(rows)).select("part", "mean").iter_rows())


@pytest.mark.parametrize("n_layers", [3, 16, 26, 28, 32, 42])
def test_parts_have_the_means_of_their_own_layers(plant, n_layers):
    curve = np.random.default_rng(0).lognormal(size=n_layers)
    early, middle, _ = layer_parts(n_layers)
    assert by_part(plant(curve[None, :])) == {
        "all": pytest.approx(curve.mean()),
        "early": pytest.approx(curve[:early].mean()),
        "middle": pytest.approx(curve[early : early + middle].mean()),
        "late": pytest.approx(curve[early + middle :].mean()),
    }


def test_lines_go_from_all_to_late_in_every_curve(plant):
    rows = pl.concat([plant(np.ones((2, 6)), cot=cot) for cot in ("detailed", "none")])
    found = part_means(curves(rows))
    assert found.select("cot", "part").rows() == [
        (cot, part) for cot in ("none", "detailed") for part in ("all", "early", "middle", "late")
    ]
    assert found["n_layers"].to_list() == [6, 2, 2, 2] * 2
    assert found["n_samples"].unique().to_list() == [2]


def test_a_layer_without_value_is_left_out_and_not_counted(plant):
    found = part_means(curves(plant(np.array([[1.0, np.nan, 5.0, 2.0, 2.0, 2.0]]))))
    lines = {part: (mean, n) for part, mean, n in found["part", "mean", "n_layers"].iter_rows()}
    assert lines["all"] == (pytest.approx(12 / 5), 5)
    assert lines["early"] == (1.0, 1)


def test_depth_is_that_of_each_model(plant):
    rows = pl.concat(
        [plant(np.arange(n, dtype=float)[None, :], model=f"model{n}") for n in (3, 26)]
    )
    found = part_means(curves(rows)).filter(pl.col("part") == "early")
    assert found["mean"].to_list() == [np.arange(7).mean(), 0.0]
    assert found["model"].to_list() == ["model26", "model3"]


def test_a_part_without_layers_has_no_line_and_no_rows_no_lines(plant):
    assert set(by_part(plant(np.ones((2, 1))))) == {"all", "middle"}
    assert part_means(curves(plant(np.ones((2, 1))).clear())).is_empty()
