"""What would reverse a verdict is tested in the same points, or the command for it is given."""

from __future__ import annotations

import polars as pl
import pytest
from helpers.claim_rows import LEVELS, point, reasoning

from gradsweep.analysis.claims import (
    Control,
    Outcome,
    Verdict,
    claim_verdicts,
    evaluate_claims,
)
from gradsweep.analysis.reduction import sum_reduced

LARGER, UNEVEN = "mean, none / detailed", "MAD, none / detailed"
SUMMED, LENGTH, RELATIVE = (
    "loss summed over tokens",
    "none as long as detailed",
    "MAD over the mean",
)
TOKENS = {"none": 2, "simplified": 20, "detailed": 60}


def samples_of(rows: pl.DataFrame) -> pl.DataFrame:
    """The table of samples: slow thinking takes 30 times the tokens."""
    tokens = pl.col("cot").replace_strict(TOKENS, default=60).alias("n_response_tokens")
    return rows.select("point_id", "sample_id", tokens).unique()


def control(rows: pl.DataFrame, name: str, statistic: str = LARGER, **settings: object) -> Control:
    """The control over all models and datasets."""
    findings = evaluate_claims(rows, resamples=200, **settings)
    (found,) = (
        one
        for finding in findings
        if finding.statistic == statistic and finding.overall
        for one in finding.controls
        if one.name == name
    )
    return found


def test_the_summed_loss_reverses_what_averaging_over_tokens_has_made():
    rows = reasoning()
    found = control(rows, SUMMED, samples=samples_of(rows))
    assert found.outcome is Outcome.REVERSED
    assert found.value == pytest.approx(6 * 2 / 60, rel=0.05)
    assert found.low <= found.value <= found.high
    assert found.verdict is Verdict.NOT_SUPPORTED


def test_of_summed_rows_the_mean_is_the_control():
    rows = reasoning()
    samples = samples_of(rows)
    found = control(
        sum_reduced(rows, samples), "loss averaged over tokens", samples=samples, loss="sum"
    )
    assert found.outcome is Outcome.REVERSED
    assert found.value == pytest.approx(6, rel=0.05)


def test_an_effect_that_is_larger_than_the_tokens_stays():
    rows = reasoning(levels=LEVELS | {"none": 60.0})
    assert control(rows, SUMMED, samples=samples_of(rows)).outcome is Outcome.SAME


def test_metrics_without_scale_have_no_control_of_the_reduction():
    rows = reasoning().with_columns(effective_rank=pl.col("nuclear_norm"))
    findings = evaluate_claims(rows, "effective_rank", samples=samples_of(rows), resamples=100)
    assert SUMMED not in {one.name for finding in findings for one in finding.controls}


def test_without_the_samples_it_is_not_controlled_for():
    found = control(reasoning(), SUMMED)
    assert found.outcome is Outcome.NOT_CONTROLLED
    assert "python -m gradsweep report" in found.reason


def as_long(level: float, cot: str = "none_as_long_as_detailed", **settings: object):
    return pl.concat([reasoning(**settings), point(level, cot=cot, **settings)])


@pytest.mark.parametrize(
    ("level", "outcome"), [(0.4, Outcome.REVERSED), (5.0, Outcome.SAME), (1.12, Outcome.CHANGED)]
)
def test_responses_of_the_same_length(level: float, outcome: Outcome):
    found = control(as_long(level, noise=0.3), LENGTH)
    assert found.outcome is outcome
    assert found.value == pytest.approx(level, rel=0.15)


def test_either_level_may_be_the_one_that_was_matched():
    found = control(as_long(7.0, "detailed_as_long_as_none"), "detailed as long as none")
    assert found.outcome is Outcome.REVERSED
    assert found.value == pytest.approx(6 / 7, rel=0.1)


def test_a_control_that_was_not_run_says_what_to_run():
    found = control(reasoning(), LENGTH)
    assert found.outcome is Outcome.NOT_CONTROLLED
    command = "-m model=tiny dataset=sums cot=none cot.match_length=detailed correctness=correct`"
    assert f"run `python -m gradsweep {command} with the other settings the same" in found.reason
    separation = control(reasoning(), LENGTH, "RD, detailed - none (noise removed)")
    assert "cot.match_length=detailed correctness=correct,irrelevant`" in separation.reason


def test_mad_that_follows_size_is_none_over_the_mean():
    found = control(reasoning(), RELATIVE, UNEVEN)
    assert found.outcome is Outcome.REVERSED
    assert found.value == pytest.approx(1, rel=0.05)


def test_too_few_questions_are_compared_by_their_side():
    rows = reasoning(n_questions=6)
    assert control(rows, SUMMED, samples=samples_of(rows)).outcome is Outcome.REVERSED
    assert control(as_long(5.0, n_questions=6), LENGTH).outcome is Outcome.SAME_SIDE


def test_a_control_of_some_models_is_compared_with_the_same_models():
    rows = pl.concat([as_long(3.0, model="a"), reasoning(model="b")])
    found = control(rows, LENGTH)
    assert found.value == pytest.approx(3, rel=0.1)
    assert found.reason.endswith("(in 1 of 2 models and datasets)")


def test_a_claim_sums_its_controls_up():
    rows = reasoning()
    findings = evaluate_claims(rows, samples=samples_of(rows), resamples=200)
    (one,) = (v for v in claim_verdicts(findings) if (v.claim, v.model) == (1, "all"))
    assert one.verdict is Verdict.SUPPORTED
    assert one.controls == {
        SUMMED: (Outcome.REVERSED,),
        LENGTH: (Outcome.NOT_CONTROLLED,),
        RELATIVE: (Outcome.REVERSED,),
    }
    assert one.caveats[0].startswith(f"{SUMMED}: reversed ({LARGER}: 0.2 [")
    assert one.caveats[1].startswith(f"{LENGTH}: not controlled for: missing tiny sums none_as_")
