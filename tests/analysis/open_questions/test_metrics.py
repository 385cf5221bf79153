"""Claims by metric: which verdicts stand whatever is measured."""

from __future__ import annotations

import polars as pl
from helpers.claim_rows import reasoning

from gradsweep.analysis.claims import Verdict
from gradsweep.analysis.open_questions import Answered, evaluate_open_questions


def asked(rows: pl.DataFrame) -> Answered:
    found = evaluate_open_questions(rows, resamples=200)
    return next(one for one in found if one.question.key == "metrics")


def answers(found: Answered) -> dict[str, Verdict]:
    return {answer.statement.text: answer.verdict for answer in found.answers}


def test_norms_that_are_proportional_agree_and_a_rank_that_goes_the_other_way_does_not():
    norm = pl.col("nuclear_norm")
    rows = reasoning().with_columns(
        frobenius_norm=norm / 3, effective_rank=10 / norm, stable_rank=norm
    )
    found = asked(rows)
    told = answers(found)
    assert told["claim 1 has one verdict under every measure of size"] is Verdict.SUPPORTED
    assert told["claim 1 has one verdict under every measure of shape"] is Verdict.NOT_SUPPORTED
    (table,) = found.numbers
    first = table.frame.row(0, named=True)
    assert first["claim"].startswith("1. ")
    assert first["nuclear_norm"] == first["frobenius_norm"] == "supported"
    assert first["effective_rank"] == "not supported"
    assert any("choice of the metric: claim" in sentence and "1" in sentence
               for sentence in found.said)  # fmt: skip


def test_metrics_that_no_point_has_are_left_out():
    rows = reasoning().with_columns(spectral_radius=pl.lit(float("nan")))
    (table,) = asked(rows).numbers
    assert list(table.columns) == ["nuclear_norm"]
