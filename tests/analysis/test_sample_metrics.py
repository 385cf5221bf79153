"""Metrics of whole samples: the loss goes through the same analyses as a weight's metrics."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gradsweep.analysis import (
    condition_pairs,
    conditions,
    curves,
    paired_tests,
    relative_difference,
    sample_outliers,
    sample_rows,
)
from gradsweep.analysis.sample_metrics import sample_scalars, summed_over_tokens
from gradsweep.records import WHOLE_SAMPLE

LOSSES = np.array([1.0, 2.0, 4.0, 3.0, 2.0, 5.0, 1.0, 2.0, 3.0, 2.0])


def samples(
    losses: np.ndarray, cot: str = "none", correctness: str = "correct", **labels: object
) -> pl.DataFrame:
    named = {"model": "tiny", "dataset": "sums", "cot": cot, "correctness": correctness}
    named |= {"series": "", "point_id": f"{cot}-{correctness}", "seed": 0} | labels
    return pl.DataFrame(
        {
            **{name: [value] * len(losses) for name, value in named.items()},
            "sample_id": [f"{named['point_id']}-{i}" for i in range(len(losses))],
            "question_id": [f"q{i}" for i in range(len(losses))],
            "status": ["ok"] * len(losses),
            "loss": losses,
            "n_response_tokens": [10] * len(losses),
        }
    )


def test_a_point_has_one_value_with_an_interval():
    (line,) = curves(sample_rows(samples(LOSSES)), "loss").to_dicts()
    assert line["mean"] == pytest.approx(LOSSES.mean())
    assert line["ci_low"] < LOSSES.mean() < line["ci_high"]
    assert (line["projection"], line["n_samples"]) == (WHOLE_SAMPLE, 10)


def test_samples_that_were_not_measured_take_no_part():
    lost = pl.when(pl.col("question_id") == "q5")
    table = samples(LOSSES).with_columns(
        status=lost.then(pl.lit("out_of_memory")).otherwise("status"),
        loss=lost.then(100.0).otherwise("loss"),
    )
    rest = np.delete(LOSSES, 5)
    assert curves(sample_rows(table), "loss")["mean"].to_list() == [pytest.approx(rest.mean())]
    assert sample_scalars(table) == {"loss_mean": pytest.approx(rest.mean())}


def test_conditions_are_tested_question_by_question():
    table = pl.concat([samples(LOSSES), samples(LOSSES + 0.5, correctness="irrelevant")])
    rows = sample_rows(table)
    pairs = condition_pairs(rows, {"correctness": "correct"}, {"correctness": "irrelevant"})
    (test,) = paired_tests(rows, pairs, "loss").to_dicts()
    assert test["difference"] == pytest.approx(0.5)
    assert test["p_value"] == pytest.approx(2 / 2**10)
    assert test["p_adjusted"] == test["p_value"], "one test, whatever projections were measured"
    (rd,) = relative_difference(rows, "loss")["relative_difference"]
    assert rd == pytest.approx(0.5 / LOSSES.mean())


def test_seeds_are_pooled_by_question():
    table = pl.concat([samples(LOSSES), samples(LOSSES + 2, point_id="another", seed=1)])
    (line,) = curves(conditions(sample_rows(table)), "loss").to_dicts()
    assert line["mean"] == pytest.approx(LOSSES.mean() + 1)
    assert line["n_samples"] == 10


def test_the_sample_with_the_farthest_loss_is_found():
    found = sample_outliers(sample_rows(samples(LOSSES)), "loss", largest=1)
    assert found.select("question_id", "value", "median").rows() == [("q5", 5.0, 2.0)]


def test_the_summed_loss_is_the_mean_times_its_tokens():
    found = summed_over_tokens(samples(LOSSES))
    assert found["loss"].to_list() == pytest.approx(list(LOSSES * 10))


def test_without_any_loss_there_is_no_scalar():
    assert sample_scalars(samples(np.full(3, np.nan))) == {}
