"""Several points of one condition: seeds are pooled, what was measured more is joined."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradsweep.analysis import (
    between_seeds,
    condition_pairs,
    conditions,
    curves,
    mean_absolute_difference,
    paired_tests,
    relative_difference,
)
from gradsweep.analysis.claims import evaluate_claims

QUESTIONS = [f"question{i}" for i in range(12)]


def point(plant, values, point_id="a", seed=0, questions=None, **labels):
    rows = plant(values, point_id=point_id, questions=questions, **labels)
    sample = pl.concat_str("question_id", "cot", "correctness", pl.lit(seed))
    return rows.with_columns(sample_id=sample, seed=pl.lit(seed, pl.Int64()))


@pytest.fixture
def grid(plant):
    rng = np.random.default_rng(0)
    return pl.concat(
        point(plant, rng.lognormal(size=(12, 4)), f"{cot}{kind}", cot=cot, correctness=kind)
        for cot in ("none", "detailed")
        for kind in ("correct", "irrelevant")
    )


def test_a_single_point_for_each_condition_stays_as_it_is(grid):
    assert conditions(grid) is grid


def test_seeds_are_the_mean_of_each_question(plant):
    first = point(plant, np.array([[1.0, 2.0], [3.0, 4.0]]), "b", 0, ["p", "q"])
    second = point(plant, np.array([[5.0, 6.0], [7.0, 8.0]]), "a", 1, ["q", "r"])
    pooled = conditions(pl.concat([second, first])).sort("question_id", "layer")
    assert pooled["nuclear_norm"].to_list() == [1.0, 2.0, (3 + 5) / 2, (4 + 6) / 2, 7.0, 8.0]
    assert pooled["point_id"].unique().to_list() == ["b"], "named by its lowest seed"
    assert curves(pooled, resamples=0)["mean"].to_list() == [4.0, 5.0]


def test_a_metric_that_one_seed_has_not_measured_is_that_of_the_others(plant):
    asked, other = (point(plant, np.full((2, 3), 4.0), name, k) for k, name in enumerate("ab"))
    measured = asked.with_columns(mine=pl.lit(2.0))
    for unasked in (other, other.with_columns(mine=pl.lit(np.nan))):
        pooled = conditions(pl.concat([measured, unasked], how="diagonal"))
        assert pooled["mine"].to_list() == [2.0] * len(pooled)
        assert pooled["nuclear_norm"].to_list() == [4.0] * len(pooled)


def test_a_value_that_is_not_trusted_in_one_seed_is_that_of_the_others(plant):
    rows = [point(plant, np.full((1, 2), v), n, s).with_columns(finite=pl.lit(s == 1))
            for n, s, v in (("a", 0, np.inf), ("b", 1, 3.0))]  # fmt: skip
    pooled = conditions(pl.concat(rows))
    assert pooled["nuclear_norm"].to_list() == [3.0, 3.0]
    assert pooled["finite"].all()


@pytest.mark.parametrize("name", ["zzz", "000"])
def test_more_that_was_measured_adds_and_replaces_nothing(grid, name):
    again = grid.filter(pl.col("point_id") == "nonecorrect").with_columns(
        pl.col("nuclear_norm") * (1 + 1e-7), point_id=pl.lit(name)
    )
    more = pl.concat([again, again.with_columns(projection=pl.lit("up"))])
    joined = conditions(pl.concat([grid, more]))
    known = joined.filter(pl.col("projection") == "q").sort(grid.columns[:8])
    assert_frame_equal(known, grid.sort(grid.columns[:8]), check_row_order=False)
    assert joined.filter(pl.col("projection") == "up")["point_id"].unique().to_list() == [
        "nonecorrect"
    ]


def test_a_metric_that_only_one_has_is_there(grid):
    own = pl.lit(7.0).alias("cosine_partner")
    again = grid.filter(pl.col("cot") == "none").with_columns(
        own, point_id="z" + pl.col("point_id")
    )
    joined = conditions(pl.concat([grid, again], how="diagonal"))
    assert set(joined["point_id"]) == set(grid["point_id"])
    assert joined.filter(pl.col("cot") == "none")["cosine_partner"].to_list() == [7.0] * 96
    assert joined.filter(pl.col("cot") == "detailed")["cosine_partner"].null_count() == 96


OTHERS = [
    {"series": "n_samples=2"},
    {"series": "dtype=bfloat16", "cot": "detailed"},
    {"model": "other"},
    {"model": "other", "series": "n_samples=2", "correctness": "irrelevant"},
]


@pytest.mark.parametrize("labels", OTHERS)
def test_no_other_series_changes_a_number(grid, plant, labels):
    """A property of every analysis that a report is made of."""
    added = point(plant, np.full((12, 4), 9.0), "added", questions=QUESTIONS, **labels)
    both = pl.concat([grid, added])
    analyses = (
        curves,
        lambda rows: mean_absolute_difference(curves(rows)),
        relative_difference,
        lambda rows: paired_tests(
            rows, condition_pairs(rows, {"cot": "none"}, {"cot": "detailed"})
        ),
    )
    for analysis in analyses:
        before, after = analysis(grid), analysis(both)
        kept = (pl.col("model") == "tiny") & (pl.col("series") == "")
        assert_frame_equal(after.filter(kept), before)


@pytest.mark.parametrize("labels", OTHERS)
def test_no_other_series_changes_a_finding(grid, plant, labels):
    added = point(plant, np.full((12, 4), 9.0), "added", questions=QUESTIONS, **labels)
    before = evaluate_claims(grid, resamples=100)
    after = evaluate_claims(pl.concat([grid, added]), resamples=100)
    told = {repr(one) for one in after}
    assert all(repr(one) in told for one in before if not one.overall)


def test_the_interval_between_seeds_is_students(plant):
    means = [2.0, 3.0, 5.0]
    rows = pl.concat(
        point(plant, np.full((2, 2), mean), f"p{seed}", seed) for seed, mean in enumerate(means)
    )
    (line,) = between_seeds(rows).to_dicts()
    half = 4.302653 * np.std(means, ddof=1) / np.sqrt(3)  # t of 2 degrees of freedom, 97.5 %
    assert line["n_seeds"] == 3
    assert [line["seed_low"], line["seed_high"]] == pytest.approx(
        [np.mean(means) - half, np.mean(means) + half]
    )
    assert between_seeds(rows.filter(pl.col("seed") == 1)).is_empty()
