"""Intervals over questions: they cover, depend on nothing else, and belong to their values."""

import numpy as np
import polars as pl
import pytest

from gradsweep.analysis import (
    condition_summaries,
    curves,
    difference_intervals,
    mean_absolute_difference,
    part_intervals,
    part_means,
    relative_difference,
    relative_difference_means,
    resampled,
)


@pytest.fixture
def pair(plant):
    """Correct and irrelevant responses of one level, 30 questions that differ, eight layers."""
    source = np.random.default_rng(0)
    correct = source.lognormal(0, 0.3, (30, 8)) * np.linspace(1, 4, 8)
    one = plant(correct, point_id="right")
    other = plant(correct * 1.5, point_id="wrong", correctness="irrelevant")
    return pl.concat([one, other])


def summaries(rows):
    found = resampled(rows, "nuclear_norm")
    return condition_summaries(curves(rows, resamples=0), relative_difference(rows), found)


def test_every_interval_holds_its_value(pair):
    ends = part_intervals(resampled(pair, "nuclear_norm"))
    by_layer = curves(pair, resamples=0)
    keys = ["point_id", "projection", "part"]
    means = part_means(by_layer).join(mean_absolute_difference(by_layer), on=keys)
    joined = means.join(ends, on=keys)
    assert len(joined) == len(ends) == 2 * 4
    for line in joined.to_dicts():
        assert line["mean_low"] < line["mean"] < line["mean_high"]
        assert line["mad_low"] < line["mad"] < line["mad_high"]
        relative = line["mad"] / line["mean"]
        assert line["relative_mad_low"] < relative < line["relative_mad_high"]


def test_rd_of_the_same_questions_times_a_factor_is_certain(pair):
    differences = relative_difference(pair)
    found = difference_intervals(resampled(pair, "nuclear_norm"), differences)
    assert found["rd_low"].to_list() == pytest.approx([0.5] * 9)
    assert found["rd_high"].to_list() == pytest.approx([0.5] * 9)
    assert found["layer"].null_count() == 1


def test_an_interval_of_the_mean_covers_about_as_often_as_it_says(plant):
    source = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        values = source.normal(10, 2, (40, 1))
        ends = part_intervals(resampled(plant(values), "nuclear_norm", 300)).filter(part="all")
        hits += ends["mean_low"][0] <= 10 <= ends["mean_high"][0]
    assert 86 <= hits <= 100


def test_other_points_change_no_number(pair):
    alone = part_intervals(resampled(pair.filter(point_id="right"), "nuclear_norm"))
    among = part_intervals(resampled(pair, "nuclear_norm")).filter(point_id="right")
    assert alone.equals(among)


def test_a_condition_is_summed_up_over_layers_and_projections(pair):
    twice = pl.concat([pair, pair.with_columns(pl.col("nuclear_norm") * 3, projection=pl.lit("k"))])
    (correct, irrelevant) = summaries(twice).to_dicts()
    by_layer = curves(twice, resamples=0)
    assert correct["mean"] == pytest.approx(
        part_means(by_layer).filter(point_id="right", part="all")["mean"].mean()
    )
    mads = mean_absolute_difference(by_layer).filter(point_id="right", part="all")["mad"]
    assert correct["mad"] == pytest.approx(mads.mean())
    rd = relative_difference_means(relative_difference(twice))["relative_difference"]
    assert correct["rd"] == pytest.approx(rd.mean())
    assert (correct["n_questions"], correct["n_pairs"], irrelevant["n_pairs"]) == (30, 30, 0)
    assert np.isnan(irrelevant["rd"])


def test_projections_that_not_all_conditions_have_are_no_part_of_a_summary(pair):
    more = pair.filter(point_id="right").with_columns(
        pl.col("nuclear_norm") * 100, projection=pl.lit("k")
    )
    assert summaries(pl.concat([pair, more])).equals(summaries(pair))


def test_one_question_has_no_interval(plant):
    rows = plant(np.ones((1, 4)))
    ends = part_intervals(resampled(rows, "nuclear_norm"))
    assert ends.select(pl.selectors.float().is_nan().all()).row(0) == (True,) * 6
