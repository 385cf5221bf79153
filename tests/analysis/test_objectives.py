"""Several objectives in one folder: each is a study of its own, and members are no units."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from helpers.claim_rows import LEVELS, point, reasoning
from polars.testing import assert_frame_equal

from gradsweep.analysis import (
    base_and_instruct,
    between_seeds,
    claim_verdicts,
    conditions,
    curves,
    evaluate_claims,
    relative_difference,
    sample_outliers,
)
from gradsweep.analysis.claims import Verdict
from gradsweep.analysis.mad import summary_scalars
from gradsweep.analysis.members import member_means, member_metrics

N = 20


def pairs(objective: str = "dpo", scale: float = 3.0) -> pl.DataFrame:
    """Pairs at every level, as much larger without CoT as in the study."""
    return pl.concat(
        point(level * scale, cot=cot, correctness="pair", objective=objective, n_questions=N)
        for cot, level in LEVELS.items()
    )


def with_members(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of units, with a cosine, and those of their members, ten and twenty times larger."""
    units = rows.with_columns(member=pl.lit(None, pl.String), member_cosine=pl.lit(0.5))
    shares = [
        rows.with_columns(
            member=pl.lit(name),
            nuclear_norm=pl.col("nuclear_norm") * factor,
            member_cosine=pl.lit(np.nan),
        )
        for name, factor in (("chosen", 10), ("rejected", 20))
    ]
    return pl.concat([units, *shares])


def _claims(rows: pl.DataFrame) -> list[str]:
    return [repr(finding) for finding in evaluate_claims(rows, resamples=100)]


@pytest.mark.parametrize(
    "analysis",
    [
        curves,
        relative_difference,
        sample_outliers,
        summary_scalars,
        between_seeds,
        _claims,
        lambda rows: base_and_instruct(conditions(rows)),
        lambda rows: curves(conditions(rows)),
    ],
)
def test_members_touch_nothing_that_is_said_of_units(analysis):
    rows = pl.concat([pairs(), reasoning(n_questions=N)])
    two_seeds = pl.concat(
        rows.with_columns(pl.col("point_id", "sample_id") + f"-{seed}", seed=pl.lit(seed))
        for seed in (0, 1)
    )
    found = analysis(with_members(two_seeds))
    expected = analysis(two_seeds.with_columns(member_cosine=pl.lit(0.5)))
    if isinstance(expected, pl.DataFrame):
        assert_frame_equal(found, expected)
    else:
        assert found == expected


def test_means_of_members_are_their_own():
    rows = pairs()
    assert member_means(rows).is_empty()
    assert member_metrics(rows) == []
    shares = with_members(rows)
    assert member_metrics(shares) == ["member_cosine"]
    found = member_means(shares)
    assert sorted(found["member"].unique()) == ["chosen", "rejected"]
    for cot in LEVELS:
        mean = shares.filter(pl.col("member").is_null(), pl.col("cot") == cot)[
            "nuclear_norm"
        ].mean()
        of_level = dict(found.filter(cot=cot).select("member", "mean").iter_rows())
        assert of_level == pytest.approx({"chosen": 10 * mean, "rejected": 20 * mean})


def test_another_objective_changes_no_finding_of_the_study():
    study = reasoning(n_questions=N)
    alone = evaluate_claims(study, resamples=100)
    beside = evaluate_claims(pl.concat([study, pairs()]), resamples=100)
    assert [f for f in map(repr, beside) if "objective=" not in f] == [*map(repr, alone)]


def test_claim_1_is_asked_of_every_objective_and_names_it():
    rows = pl.concat([reasoning(n_questions=N), pairs(), pairs("simpo")])
    found = evaluate_claims(rows, resamples=200)
    of_others = [finding for finding in found if finding.objective != "sft"]
    assert {(f.claim, f.objective) for f in of_others} == {(1, "dpo"), (1, "simpo")}
    assert all("objective=" in repr(finding) for finding in of_others)
    verdicts = {v.objective: v for v in claim_verdicts(found) if v.claim == 1}
    assert verdicts["dpo"].verdict is Verdict.SUPPORTED


def test_what_holds_of_a_mean_cross_entropy_is_not_tried_elsewhere():
    rows = pl.concat([reasoning(n_questions=N), pairs(), reasoning(n_questions=N,
                      series="reduction=sum")])  # fmt: skip
    samples = rows.unique(["point_id", "sample_id"]).with_columns(
        loss=pl.lit(1.0), n_response_tokens=pl.lit(5), status=pl.lit("ok")
    )
    found = evaluate_claims(rows, samples=samples, resamples=100)
    controls = {
        (f.objective, f.series): {control.name for control in f.controls}
        for f in found
        if f.claim == 1 and f.decides and not f.overall
    }
    assert "loss summed over tokens" in controls["sft", ""]
    assert "loss summed over tokens" not in controls["sft", "reduction=sum"]
    assert (
        not {"loss summed over tokens", "the loss in place of the gradient"} & (controls["dpo", ""])
    )


def test_what_to_run_names_the_objective_and_no_correctness_of_a_pair():
    found = evaluate_claims(pairs().filter(pl.col("cot") != "detailed"), resamples=100)
    reason = next(f.reason for f in found if f.objective == "dpo" and f.value != f.value)
    assert "objective=dpo" in reason
    assert "correctness=" not in reason.partition("run `")[2]


def test_rows_from_before_the_axis_are_of_the_study():
    rows = reasoning(n_questions=N)
    before = rows.drop("objective")
    assert_frame_equal(curves(before), curves(rows))
    assert_frame_equal(relative_difference(before), relative_difference(rows))
    assert _claims(before) == _claims(rows)


def test_rd_is_between_responses_of_one_objective():
    kto = reasoning(n_questions=N, objective="kto", levels={"none": 7.0})
    found = relative_difference(pl.concat([reasoning(n_questions=N), kto]))
    assert sorted(found["objective"].unique()) == ["kto", "sft"]
    lone = reasoning(n_questions=N).filter(pl.col("correctness") == "correct")
    wrong = kto.filter(pl.col("correctness") == "irrelevant")
    assert relative_difference(pl.concat([lone, wrong])).is_empty()
