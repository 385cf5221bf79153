"""Curves are means over samples, with intervals that keep their promise."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradsweep.analysis import bootstrap_interval, curve_means, curves
from gradsweep.errors import ConfigError, DataError


def test_mean_by_layer_is_the_planted_mean(plant):
    values = np.array([[1.0, 10.0, 0.0], [3.0, 30.0, 6.0]])
    curve = curves(plant(values))
    assert curve["mean"].to_list() == [2.0, 20.0, 3.0]
    assert curve["layer"].to_list() == [0, 1, 2]
    assert curve["n_samples"].to_list() == [2, 2, 2]
    assert curve_means(curve)["mean"].to_list() == pytest.approx([25 / 3])


class Measured:
    """What `gradient_spectra` returns, as far as curves ask for it."""

    def to_polars(self):
        values = {0: [1.0, 10.0], 1: [3.0, 30.0]}
        return pl.DataFrame(
            {"sample": sample, "loss": 1.0, "layer": layer, "projection": "q", "head": None}
            | {"nuclear_norm": value, "finite": True}
            for sample, of_layer in values.items()
            for layer, value in enumerate(of_layer)
        )


@pytest.mark.parametrize("rows", [Measured(), Measured().to_polars()], ids=["object", "table"])
def test_what_gradient_spectra_returns_is_one_point(rows):
    curve = curves(rows)
    assert curve.select("projection", "layer", "mean", "n_samples").rows() == [
        ("q", 0, 2.0, 2),
        ("q", 1, 20.0, 2),
    ]


def test_columns_that_are_missing_are_named(plant):
    rows = plant(np.ones((1, 2))).drop("point_id", "question_id")
    with pytest.raises(DataError, match=r"question_id, point_id are missing.*load_rows"):
        curves(rows)


def test_points_and_projections_do_not_mix(plant):
    rows = pl.concat(
        [
            plant(np.full((2, 2), 1.0)),
            plant(np.full((2, 2), 2.0), projection="o"),
            plant(np.full((2, 2), 3.0), cot="detailed"),
        ]
    )
    found = curves(rows).group_by("cot", "projection").agg(pl.col("mean").mean()).rows()
    assert set(found) == {("none", "q", 1.0), ("none", "o", 2.0), ("detailed", "q", 3.0)}


def test_lines_come_in_reading_order(plant):
    ones = np.ones((1, 2))
    rows = pl.concat(
        plant(ones, cot=cot, correctness=correctness, projection=projection)
        for cot in ("detailed", "a_new_level", "none", "simplified")
        for correctness in ("irrelevant", "correct")
        for projection in ("o", "gate", "q")
    )
    curve = curves(rows)
    assert curve["cot"].unique(maintain_order=True).to_list() == [
        "none",
        "simplified",
        "detailed",
        "a_new_level",
    ]
    assert curve["correctness"].to_list()[0] == "correct"
    assert curve["projection"].to_list()[:6] == ["q", "q", "o", "o", "gate", "gate"]


def test_order_and_repetition_of_rows_change_nothing(plant):
    values = np.random.default_rng(0).lognormal(size=(9, 4))
    rows = pl.concat([plant(values), plant(2 * values, projection="v")])
    expected = curves(rows)
    assert_frame_equal(curves(rows.sample(fraction=1, shuffle=True, seed=3)), expected)
    assert_frame_equal(curves(pl.concat([rows, rows])), expected)


def test_interval_is_seeded_and_encloses_the_mean(plant):
    rows = plant(np.random.default_rng(0).lognormal(size=(20, 6)))
    curve = curves(rows, seed=5)
    assert_frame_equal(curves(rows, seed=5), curve)
    assert not curves(rows, seed=6)["ci_low"].equals(curve["ci_low"])
    assert (curve["ci_low"] < curve["mean"]).all()
    assert (curve["mean"] < curve["ci_high"]).all()


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_interval_covers_the_true_mean_at_about_its_rate(confidence):
    covered = []
    for seed in range(10):
        # Layers that are independent of each other are repetitions of the same experiment.
        values = np.random.default_rng(100 + seed).normal(7.0, 2.0, size=(60, 200))
        low, high = bootstrap_interval(values, confidence=confidence, seed=seed)
        covered.append((low <= 7.0) & (high >= 7.0))
    assert np.mean(covered) == pytest.approx(confidence, abs=0.03)


def test_interval_shrinks_with_the_root_of_the_number_of_samples():
    rng = np.random.default_rng(0)

    def width(n_samples: int) -> float:
        low, high = bootstrap_interval(rng.normal(size=(n_samples, 100)))
        return float(np.mean(high - low))

    assert width(50) / width(800) == pytest.approx(4, rel=0.1)


def test_whole_samples_are_resampled_not_single_rows():
    # Two layers that mirror each other within a sample: their sum is constant over resamples
    # only if a sample's layers are drawn together, so both intervals are equally wide.
    sample = np.random.default_rng(0).normal(size=40)
    low, high = bootstrap_interval(np.stack([sample, -sample], axis=1))
    assert low[0] == pytest.approx(-high[1])
    assert high[0] == pytest.approx(-low[1])


def test_one_sample_has_a_mean_but_no_interval(plant):
    curve = curves(plant(np.array([[2.0, 4.0]])))
    assert curve["mean"].to_list() == [2.0, 4.0]
    assert curve["ci_low"].is_nan().all()
    assert curve["ci_high"].is_nan().all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, None])
def test_a_sample_without_a_finite_value_leaves_the_whole_curve(plant, bad):
    rows = plant(np.array([[1.0, 1.0], [3.0, 3.0], [100.0, 5.0]]))
    broken = rows.with_row_index().with_columns(
        nuclear_norm=pl.when(pl.col("index") == 4).then(bad).otherwise(pl.col("nuclear_norm"))
    )
    curve = curves(broken)
    assert curve["mean"].to_list() == [2.0, 2.0]
    assert curve["n_samples"].to_list() == [2, 2]


def test_a_sample_with_a_row_that_failed_its_checksum_leaves_the_whole_curve(plant):
    rows = plant(np.array([[1.0, 1.0], [3.0, 3.0], [100.0, 5.0]]))
    flagged = rows.with_row_index().with_columns(finite=pl.col("index") != 4)
    assert curves(flagged)["mean"].to_list() == [2.0, 2.0]


def test_a_sample_whose_rows_are_incomplete_leaves_the_whole_curve(plant):
    rows = plant(np.array([[1.0, 1.0], [3.0, 3.0], [5.0, 5.0]]))
    assert curves(rows.head(5))["mean"].to_list() == [2.0, 2.0]


def test_a_layer_without_any_value_is_nan_and_spares_the_others(plant):
    values = np.array([[1.0, np.nan, 5.0], [3.0, np.nan, 7.0]])
    curve = curves(plant(values))
    np.testing.assert_array_equal(curve["mean"], [2.0, np.nan, 6.0])
    assert curve["n_samples"].to_list() == [2, 0, 2]
    means = curve_means(curve)
    assert means["mean"].to_list() == [4.0]
    assert means["n_layers"].to_list() == [2]


def test_no_value_at_all_is_nan_not_zero(plant):
    curve = curves(plant(np.full((2, 2), np.nan)))
    assert curve["mean"].is_nan().all()
    assert curve["n_samples"].to_list() == [0, 0]
    assert curve_means(curve)["mean"].is_nan().all()


def test_integer_metrics_work(plant):
    assert curves(plant(np.ones((2, 2))), "rank")["mean"].to_list() == [3.0, 3.0]


def test_no_rows_give_no_lines(plant):
    nothing = curves(plant(np.ones((2, 2))).clear())
    assert nothing.is_empty()
    assert curve_means(nothing).is_empty()


@pytest.mark.parametrize("metric", ["nucular_norm", "layer", "model"])
def test_unknown_metric_lists_the_known_ones(plant, metric):
    with pytest.raises(ConfigError, match=f"metric={metric}.*allowed are nuclear_norm, rank"):
        curves(plant(np.ones((1, 1))), metric)


@pytest.mark.parametrize("setting", [{"confidence": 95}, {"confidence": 0}, {"resamples": -1}])
def test_impossible_bootstrap_settings_are_refused(plant, setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        curves(plant(np.ones((2, 1))), **setting)


def test_analysis_is_light():
    heavy = (
        "[name for name in ('torch', 'matplotlib', 'rich', 'transformers') if name in sys.modules]"
    )
    code = f"import sys, gradsweep.analysis, gradsweep.report; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
