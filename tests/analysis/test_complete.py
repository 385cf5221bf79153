"""Rows that are sorted once for all metrics have the complete values of each."""

import numpy as np
import polars as pl
import pytest

from gradsweep.analysis.bootstrap import quantiles_over_resamples
from gradsweep.analysis.complete import SortedRows, complete_values, curve_values

METRIC = "nuclear_norm"


@pytest.fixture
def rows(plant):
    """Two points of 12 questions and five layers."""
    source = np.random.default_rng(0)
    points = [plant(source.lognormal(size=(12, 5)), point_id=name) for name in ("one", "two")]
    return pl.concat(points).with_row_index("line")


SPOILT = {
    "whole": lambda rows: rows,
    "in another order": lambda rows: rows.sample(fraction=1, shuffle=True, seed=1),
    "a value that is no number": lambda rows: rows.with_columns(
        pl.when(pl.col("line") == 7).then(np.nan).otherwise(METRIC).alias(METRIC)
    ),
    "a row that is not trusted": lambda rows: rows.with_columns(finite=pl.col("line") != 65),
    "a row less": lambda rows: rows.filter(pl.col("line") != 3),
    "a row twice": lambda rows: pl.concat([rows, rows[4:5]]),
    "a layer less in one point": lambda rows: rows.filter(
        (pl.col("layer") != 2) | (pl.col("point_id") == "two")
    ),
    "two samples of a question": lambda rows: rows.with_columns(
        question_id=pl.col("question_id").replace(rows["question_id"][0], rows["question_id"][9])
    ),
    "nothing": lambda rows: rows.clear(),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_sorted_rows_have_the_complete_values_of_each_metric(rows, spoilt):
    rows = SPOILT[spoilt](rows).drop("line")
    found = SortedRows(rows).curves(METRIC)
    expected = curve_values(complete_values(rows, METRIC))
    assert [one.names for one in found] == [one.names for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.layers == other.layers
        assert one.asked.question_ids == other.asked.question_ids
        assert (one.asked.place == other.asked.place).all()
        assert np.array_equal(one.values, other.values)


@pytest.mark.parametrize("n_resamples", [1, 2, 3, 40, 41, 200, 999, 1000])
def test_quantiles_are_those_of_numpy_bit_for_bit(n_resamples):
    source = np.random.default_rng(n_resamples)
    values = source.lognormal(0, 3, (3, n_resamples, 5)) * source.choice([-1, 1])
    values[1, -1, 2] = np.nan
    for probabilities in ((0.025, 0.975), (0.05, 0.5, 0.95), (0.0, 1.0)):
        found = quantiles_over_resamples(values, probabilities)
        assert np.array_equal(found, np.quantile(values, probabilities, axis=1), equal_nan=True)
