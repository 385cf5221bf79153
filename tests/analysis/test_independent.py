"""Comparisons of two sets of questions: rates and numbers against their plain definitions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from scipy import stats

from gradsweep.analysis import condition_pairs
from gradsweep.analysis.independent import independent_tests

Plant = Callable[..., pl.DataFrame]


def compared(
    plant: Plant, first: np.ndarray, second: np.ndarray, **settings: int
) -> dict[str, float]:
    """Compare planted values, (questions, layers), of two datasets."""
    rows = pl.concat(
        plant(
            values, point_id=name, questions=[f"{name}{place}" for place in range(len(values))]
        ).with_columns(dataset=pl.lit(name))
        for name, values in (("first", first), ("second", second))
    )
    pair = condition_pairs(rows, {"dataset": "first"}, {"dataset": "second"})
    settings = {"resamples": 400, "permutations": 999} | settings
    return independent_tests(rows, pair, **settings).to_dicts()[0]


def test_numbers_of_a_known_pair(plant: Plant):
    first, second = (
        np.array([[1.0, 3.0], [2.0, 4.0], [4.0, 4.0]]),
        np.array([[6.0, 8.0], [9.0, 9.0]]),
    )
    line = compared(plant, first, second)
    one, other = first.mean(axis=1), second.mean(axis=1)
    assert (line["first_mean"], line["second_mean"]) == pytest.approx((one.mean(), other.mean()))
    spread = np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)
    assert line["cohen_d"] == pytest.approx((other.mean() - one.mean()) / spread)
    assert line["p_value"] == 1 / 10, "no other of the ten ways to split five is as far apart"
    assert (line["n_first"], line["n_second"], line["n_questions"]) == (3, 2, 2)


@pytest.mark.parametrize("spread", [1.0, 6.0])
def test_a_difference_that_is_not_there_is_found_at_the_stated_rate(plant: Plant, spread: float):
    rng = np.random.default_rng(0)
    found, covered = [], []
    for seed in range(150):
        first = 20 + rng.normal(size=(12, 1))
        second = 20 + spread * rng.normal(size=(36, 1))
        line = compared(plant, first, second, permutations=199, seed=seed)
        found.append(line["p_value"] < 0.05)
        covered.append(line["ci_low"] <= 0 <= line["ci_high"])
    assert np.mean(found) < stats.binom.ppf(0.999, 150, 0.06) / 150
    assert np.mean(covered) > 0.85


def test_questions_of_one_side_are_not_matched_by_their_order(plant: Plant):
    rng = np.random.default_rng(1)
    first = rng.lognormal(sigma=1.5, size=(40, 3))
    line = compared(plant, first, 1.05 * first)
    assert line["p_value"] > 0.5, "what pairing would find is lost among the questions"


def test_a_clear_difference_is_found(plant: Plant):
    rng = np.random.default_rng(2)
    line = compared(plant, rng.normal(10, 1, size=(30, 4)), rng.normal(14, 1, size=(25, 4)))
    assert line["p_value"] == 1 / 1000
    assert 3.5 < line["ci_low"] < 4 < line["ci_high"] < 4.5
    assert line["cohen_d_low"] < line["cohen_d"] < line["cohen_d_high"]


def test_samples_without_spread_have_no_effect_size(plant: Plant):
    line = compared(plant, np.ones((12, 2)), np.ones((11, 2)))
    assert line["p_value"] == 1
    assert np.isnan(line["cohen_d"])


def test_one_question_has_a_mean_and_nothing_else(plant: Plant):
    line = compared(plant, np.ones((1, 2)), np.full((5, 2), 3.0))
    assert (line["first_mean"], line["second_mean"], line["difference"]) == (1, 3, 2)
    assert np.isnan(line["p_value"])
    assert np.isnan(line["ci_low"])
