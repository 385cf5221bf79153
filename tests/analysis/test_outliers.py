"""Samples far from the others of their point."""

import polars as pl
import pytest

from gradsweep.analysis.outliers import sample_outliers
from gradsweep.errors import ConfigError


def rows(values: dict[str, list[float]], point: str = "p") -> pl.DataFrame:
    """Sample -> its values, one in each layer."""
    return pl.DataFrame(
        [
            {
                "point_id": point,
                "sample_id": sample,
                "question_id": sample.upper(),
                "layer": layer,
                "nuclear_norm": value,
                "finite": True,
            }
            for sample, per_layer in values.items()
            for layer, value in enumerate(per_layer)
        ]
    )


SAMPLES = {"a": [1.0, 3.0], "b": [2.0, 2.2], "c": [9.0, 11.0], "d": [0.0, 0.2], "e": [2.0, 3.0]}
"""Means 2, 2.1, 10, 0.1 and 2.5: the median is 2.1."""


def test_the_farthest_come_first_on_either_side():
    found = sample_outliers(rows(SAMPLES), largest=3)
    assert found["sample_id"].to_list() == ["c", "d", "e"]
    assert found["value"].to_list() == pytest.approx([10.0, 0.1, 2.5])
    assert found["median"].to_list() == pytest.approx([2.1] * 3)


def test_each_point_has_its_own_median_and_list():
    both = pl.concat([rows(SAMPLES), rows({k: [9 * v for v in SAMPLES[k]] for k in "abc"}, "q")])
    found = sample_outliers(both, largest=1)
    assert found.select("point_id", "sample_id").rows() == [("p", "c"), ("q", "c")]
    assert found["median"].to_list() == pytest.approx([2.1, 9 * 2.1])


def test_the_order_of_rows_changes_nothing_even_among_equals():
    equal = rows({"a": [1.0], "b": [3.0], "c": [2.0]})
    found = sample_outliers(equal, largest=1)
    assert found.equals(sample_outliers(equal.reverse(), largest=1))
    assert found["sample_id"].to_list() == ["a"]


def test_rows_without_a_trusted_value_do_not_count():
    broken = rows(SAMPLES).with_columns(
        finite=~((pl.col("sample_id") == "c") & (pl.col("layer") == 1)),
        nuclear_norm=pl.when(pl.col("sample_id") == "d")
        .then(float("nan"))
        .otherwise("nuclear_norm"),
    )
    found = sample_outliers(broken)
    assert found["value"][0] == 9.0
    assert "d" not in found["sample_id"]


def test_an_unknown_metric_is_an_error():
    with pytest.raises(ConfigError, match="metric=norm"):
        sample_outliers(rows(SAMPLES), "norm")
