"""Scores rank samples by their rows; correlations know what loss and length explain."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gradsweep.analysis.scores import COVARIATES, sample_scores, score_correlations
from gradsweep.errors import ConfigError


def planted(values: list[float], **columns: list[object]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of two layers around each value, and the table of their samples."""
    names = [f"s{place}" for place in range(len(values))]
    rows = pl.DataFrame(
        [
            {
                "point_id": "p", "sample_id": name, "question_id": name, "layer": layer,
                "projection": "q", "head": None, "member": None, "finite": True,
                "nuclear_norm": value + (layer - 0.5), "effective_rank": -value,
            }
            for name, value in zip(names, values, strict=True)
            for layer in (0, 1)
        ],
        schema_overrides={"head": pl.Int32(), "member": pl.String()},
    )  # fmt: skip
    n = len(values)
    table: dict[str, list[object]] = {
        "point_id": ["p"] * n, "sample_id": [*names], "question_id": [*names],
        "index": [*range(n)], "loss": [1.0] * n, "n_prompt_tokens": [9] * n,
        "n_response_tokens": [5] * n, "truncated": [False] * n,
    }  # fmt: skip
    return rows, pl.DataFrame(table | columns)


def test_a_score_is_the_mean_over_rows_and_the_largest_is_first():
    scores = sample_scores(*planted([2.0, 5.0, 3.0]), ["nuclear_norm", "effective_rank"])
    assert scores["sample_id"].to_list() == ["s1", "s2", "s0"]
    assert scores["rank"].to_list() == [1, 2, 3]
    assert scores["nuclear_norm"].to_list() == pytest.approx([5.0, 3.0, 2.0])
    by_rank = sample_scores(*planted([2.0, 5.0, 3.0]), ["effective_rank"])
    assert by_rank["sample_id"].to_list() == ["s0", "s2", "s1"]


def test_what_cannot_be_trusted_does_not_score():
    rows, samples = planted([2.0, 5.0, 3.0])
    rows = rows.with_columns(
        finite=~((pl.col("sample_id") == "s0") & (pl.col("layer") == 1)),
        nuclear_norm=pl.when(sample_id="s1").then(np.nan).otherwise("nuclear_norm"),
    )
    scores = sample_scores(rows, samples)
    assert scores.select("sample_id", "nuclear_norm").rows() == [("s2", 3.0), ("s0", 1.5)]


def test_the_order_of_rows_changes_nothing():
    rows, samples = planted([2.0, 2.0, 7.0, 1.0])
    again = sample_scores(rows.reverse(), samples.reverse())
    assert again.equals(sample_scores(rows, samples))


def correlated(seed: int, of_loss: float) -> dict[str, float]:
    """ρ of two scores that follow the loss, before and after it is taken out."""
    draws = np.random.default_rng(seed)
    loss, first, second = draws.normal(size=(3, 200))
    values = of_loss * loss + first
    scores = pl.DataFrame(
        {
            "question_id": [f"q{place}" for place in range(200)],
            "a": values, "b": of_loss * loss + second, "c": values + 0.1 * second,
            "loss": loss, "n_response_tokens": draws.integers(5, 50, 200),
        }
    )  # fmt: skip
    found = score_correlations(scores, ["a", "b", "c"], resamples=200)
    return {f"{line['first']}{line['second']}": line for line in found.to_dicts()}


def test_two_scores_that_follow_the_loss_alone_have_nothing_left_in_common():
    found = correlated(1, of_loss=3.0)
    assert found["ab"]["rho"] > 0.8
    assert found["ab"]["low"] < found["ab"]["rho"] < found["ab"]["high"]
    assert abs(found["ab"]["partial"]) < 0.2
    assert found["ab"]["given"] == ", ".join(COVARIATES)
    assert found["ac"]["partial"] > 0.9, "these two share more than the loss"
    assert found["aloss"]["given"] == "n_response_tokens"


def test_lengths_that_are_all_the_same_are_not_taken_out():
    rows, samples = planted([float(v) for v in range(8)], loss=[*map(float, range(8))])
    scores = sample_scores(rows, samples, ["nuclear_norm", "effective_rank"])
    (line,) = score_correlations(scores, ["nuclear_norm"]).filter(second="loss").to_dicts()
    assert (line["n"], line["rho"], line["given"]) == (8, pytest.approx(1.0), "")


def test_four_samples_have_no_correlation():
    scores = sample_scores(*planted([1.0, 2.0, 3.0, 4.0]))
    assert score_correlations(scores, ["nuclear_norm"]).is_empty()


def test_a_metric_that_is_not_there_and_a_confidence_of_one():
    rows, samples = planted([1.0])
    with pytest.raises(ConfigError, match="nuclear_nrom"):
        sample_scores(rows, samples, ["nuclear_nrom"])
    with pytest.raises(ConfigError, match="confidence"):
        score_correlations(sample_scores(rows, samples), ["nuclear_norm"], confidence=1.0)
