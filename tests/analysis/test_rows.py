"""What analyses leave out or refuse: single heads, unknown keys, rows that contradict others."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradsweep.analysis import curves, paired_tests, relative_difference, sample_outliers
from gradsweep.analysis.mad import summary_scalars
from gradsweep.analysis.rows import rows_with_values
from gradsweep.errors import ConfigError, DataError
from gradsweep.store.frames import metric_columns


def with_heads(rows: pl.DataFrame, n_heads: int = 3) -> pl.DataFrame:
    """The rows, and below each those of single heads, with other values."""
    heads = [
        rows.with_columns(
            head=pl.lit(head, pl.Int32), nuclear_norm=pl.col("nuclear_norm") * (head + 2)
        )
        for head in range(n_heads)
    ]
    return pl.concat([rows.with_columns(head=pl.lit(None, pl.Int32)), *heads])


@pytest.mark.parametrize(
    "analysis",
    [curves, relative_difference, sample_outliers, summary_scalars],
    ids=lambda one: one.__name__,
)
def test_heads_do_not_touch_what_is_said_of_whole_matrices(plant, analysis):
    values = np.arange(1.0, 13).reshape(4, 3)
    rows = pl.concat([plant(values), plant(2 * values, correctness="irrelevant")])
    found, expected = analysis(with_heads(rows)), analysis(rows)
    if isinstance(expected, dict):
        assert found == expected
    else:
        assert_frame_equal(found, expected)


def test_heads_alone_are_no_matrix(plant):
    heads = with_heads(plant(np.ones((2, 2)))).filter(pl.col("head").is_not_null())
    rows = pl.concat([with_heads(plant(np.ones((2, 2)), projection="v")), heads])
    for analysis in (curves, relative_difference, sample_outliers):
        with pytest.raises(DataError, match=r"projection q of point .*single heads only"):
            analysis(rows)
    assert {name[-1] for name in summary_scalars(rows)} == {"v"}, "a point ends all the same"


def test_rows_that_an_unknown_column_tells_apart_are_refused(plant):
    steps = [plant(np.full((2, 2), 1.0 + step)).with_columns(step=step) for step in (0, 100)]
    with pytest.raises(DataError, match=r"rows: step \(0, 100\).*rows\.filter"):
        curves(pl.concat(steps))
    assert curves(steps[1])["mean"].to_list() == [101.0, 101.0], "one value splits nothing"


def test_rows_that_are_there_twice_must_agree(plant):
    rows = plant(np.ones((2, 2)))
    rounding = rows.with_columns(pl.col("nuclear_norm") * (1 + 1e-7))
    assert curves(pl.concat([rows, rounding]))["n_samples"].to_list() == [2, 2]
    other = rows.with_columns(pl.col("nuclear_norm") * 3)
    with pytest.raises(DataError, match=r"nuclear_norm of point .* as 1 and as 3"):
        curves(pl.concat([rows, other]))


def test_series_are_never_mixed(plant):
    seeds = [
        pl.concat(
            [
                plant(np.full((3, 2), 1.0 + n), series=f"n_samples={n}"),
                plant(
                    np.full((3, 2), 2.0 + n),
                    series=f"n_samples={n}",
                    correctness="irrelevant",
                ),
            ]
        )
        for n in (0, 1)
    ]
    both = relative_difference(pl.concat(seeds))
    assert_frame_equal(both, pl.concat(map(relative_difference, seeds)))
    assert both["relative_difference"].to_list() == [1.0, 1.0, 0.5, 0.5]


def test_a_metric_of_ones_own_is_one_like_any_other(plant):
    first = plant(np.ones((2, 2))).with_columns(mine=pl.lit(4.0))
    second = plant(np.ones((2, 2)), cot="detailed").with_columns(mine=pl.lit(2.0))
    without = plant(np.ones((2, 2)), model="other")
    rows = pl.concat([first, second, without], how="diagonal")
    assert metric_columns(rows) == ("nuclear_norm", "rank", "mine")
    assert rows_with_values(rows, "mine")["model"].unique().to_list() == ["tiny"]
    assert curves(rows_with_values(rows, "mine"), "mine")["mean"].to_list() == [4.0, 4.0, 2.0, 2.0]
    pairs = pl.concat([first, second])
    from gradsweep.analysis import condition_pairs

    (line,) = paired_tests(
        pairs, condition_pairs(pairs, {"cot": "none"}, {"cot": "detailed"}), "mine"
    ).to_dicts()
    assert line["difference"] == -2.0
    assert summary_scalars(first)["mine_mean_q"] == 4.0
    with pytest.raises(ConfigError, match="metric=mine has no value in these results"):
        rows_with_values(rows.filter(pl.col("model") == "other"), "mine")
    with pytest.raises(ConfigError, match=r"metric=yours.*nuclear_norm, rank, mine"):
        rows_with_values(rows, "yours")
