"""More samples of a series: what one of its points has measured is not measured again."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest
from helpers.agreement import assert_rows_agree

import gradsweep.extraction as extraction
from gradsweep.extraction import PointResult

Point = Callable[..., PointResult]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the samples that the engine measures, as they come."""
    seen: list[str] = []
    outcomes = extraction.Run.outcomes

    def noted(*args, **kwargs):
        for results in outcomes(*args, **kwargs):
            seen.extend(result.sample_id for result in results)
            yield results

    monkeypatch.setattr(extraction.Run, "outcomes", noted)
    return seen


@pytest.mark.parametrize(("first", "second"), [(2, 6), (6, 2)])
def test_only_samples_that_no_point_has_are_measured(run: Point, measured, first, second):
    before = run(f"n_samples={first}").samples()
    measured.clear()
    samples = (result := run(f"n_samples={second}")).samples()
    assert set(measured) == set(samples["sample_id"]) - set(before["sample_id"])
    assert samples["index"].to_list() == list(range(second))
    assert result.rows()["sample_id"].n_unique() == second


def test_the_numbers_are_those_of_a_run_of_its_own(run: Point, tmp_path):
    run("n_samples=3")
    both = run("n_samples=6").rows(), run("n_samples=6", f"store.root={tmp_path / 'other'}").rows()
    key = ("sample_id", "layer", "projection")
    assert_rows_agree(*(rows.drop("series").sort(key) for rows in both))


@pytest.mark.parametrize(
    "other",
    ["seed=1", "cot=none", "gradients.rank_tolerance=0.1", "gradients.top_k=2",
     "model.max_length=300"],
)  # fmt: skip
def test_points_that_differ_in_more_share_nothing(run: Point, measured, other):
    run("n_samples=2", other)
    measured.clear()
    run("n_samples=3")
    assert len(measured) == 3


def test_bad_samples_are_tried_again(run: Point, measured):
    paths = run("n_samples=2").paths
    samples = pl.read_parquet(paths.samples)
    first = samples["sample_id"][0]
    status = pl.when(pl.col("sample_id") == first).then(pl.lit("out_of_memory"))
    samples.with_columns(status=status.otherwise("status")).write_parquet(paths.samples)
    paths.done.write_text("{}")  # no checksums to compare with
    measured.clear()
    run("n_samples=3")
    assert first in measured
    assert len(measured) == 2
