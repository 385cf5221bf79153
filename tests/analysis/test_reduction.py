"""The sum-reduced loss: T times the mean-reduced one, in the metrics that scale and only there."""

from __future__ import annotations

import polars as pl
import pytest

from gradsweep.analysis.reduction import sum_reduced
from gradsweep.errors import DataError

ROWS = pl.DataFrame(
    {
        "point_id": ["p", "p", "r"],
        "sample_id": ["a", "b", "a"],
        "nuclear_norm": [1.0, 2.0, 3.0],
        "sigma_max": [0.5, 1.0, float("nan")],
        "sigma_ratio": [0.5, 0.5, 0.5],
        "singular_values": [[0.5, 0.25], [1.0], None],
    },
    schema_overrides={"singular_values": pl.List(pl.Float64)},
)
SAMPLES = pl.DataFrame(
    {"point_id": ["r", "p", "p"], "sample_id": ["a", "a", "b"], "n_response_tokens": [7, 3, 10]},
    schema_overrides={"n_response_tokens": pl.Int32},
)


def test_norms_are_multiplied_by_their_own_samples_tokens() -> None:
    summed = sum_reduced(ROWS, SAMPLES)
    assert summed["nuclear_norm"].to_list() == [3.0, 20.0, 21.0]
    assert summed["sigma_max"].to_list()[:2] == [1.5, 10.0]
    assert summed["sigma_max"].is_nan().to_list() == [False, False, True]
    assert summed["singular_values"].to_list() == [[1.5, 0.75], [10.0], None]


def test_ratios_columns_and_order_stay() -> None:
    summed = sum_reduced(ROWS, SAMPLES)
    assert summed.columns == ROWS.columns
    assert summed.schema == ROWS.schema
    assert summed.select("point_id", "sample_id", "sigma_ratio").equals(
        ROWS.select("point_id", "sample_id", "sigma_ratio")
    )


def test_a_sample_without_a_token_count_is_an_error() -> None:
    with pytest.raises(DataError, match="1 of 3 rows"):
        sum_reduced(ROWS, SAMPLES.filter(pl.col("point_id") == "p"))
