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
from gradsweep.analysis.sample_metrics import sample_rows

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


def with_losses(rows: pl.DataFrame, losses: dict[str, float]) -> pl.DataFrame:
    """The table of samples with the loss that each kind of response has."""
    labels = ["model", "dataset", "cot", "correctness", "series", "question_id"]
    loss = pl.col("correctness").replace_strict(losses).cast(pl.Float64)
    table = rows.select("point_id", "sample_id", *labels).unique(maintain_order=True)
    index = pl.col("question_id").str.extract(r"(\d+)$").cast(pl.Float64)
    return table.with_columns(
        status=pl.lit("ok"), n_response_tokens=pl.lit(10), loss=loss * (1 + index / 100)
    )


@pytest.mark.parametrize(
    ("losses", "outcome"),
    [
        ({"correct": 1.0, "irrelevant": 3.0}, Outcome.SAME),
        ({"correct": 3.0, "irrelevant": 1.0}, Outcome.REVERSED),
    ],
)
def test_the_loss_alone_may_say_the_same(losses: dict[str, float], outcome: Outcome):
    rows = reasoning()
    found = control(
        rows,
        "the loss in place of the gradient",
        "mean, irrelevant / correct, detailed",
        samples=with_losses(rows, losses),
    )
    assert found.outcome is outcome
    assert found.value == pytest.approx(losses["irrelevant"] / losses["correct"])


def test_of_layers_the_loss_says_nothing():
    rows = reasoning()
    samples = with_losses(rows, {"correct": 1.0, "irrelevant": 2.0})
    findings = evaluate_claims(rows, samples=samples, resamples=200)
    asked = {f.statistic for f in findings for c in f.controls if c.name.startswith("the loss in")}
    assert LARGER in asked
    assert not any("MAD" in statistic or "early" in statistic for statistic in asked)


def test_claims_can_be_asked_of_the_loss_itself():
    rows = reasoning()
    samples = with_losses(rows, {"correct": 1.0, "irrelevant": 2.0})
    findings = evaluate_claims(sample_rows(samples), "loss", samples=samples, resamples=200)
    found = {f.statistic: f for f in findings if f.overall}
    assert found["mean, irrelevant / correct, detailed"].verdict is Verdict.SUPPORTED
    assert found["MAD, none / detailed"].verdict is Verdict.NOT_TESTABLE
    assert not found["mean, irrelevant / correct, detailed"].controls


@pytest.mark.parametrize("labels", [{"series": "n_samples=2"}, {"model": "other"}])
def test_no_other_series_changes_a_control(labels: dict[str, str]):
    rows = as_long(5.0)
    added = reasoning(levels={"none": 1.0, "detailed": 3.0}, **labels)
    both = pl.concat([rows, added])
    losses = {"correct": 1.0, "irrelevant": 2.0}
    before = evaluate_claims(rows, samples=with_losses(rows, losses), resamples=100)
    after = evaluate_claims(both, samples=with_losses(both, losses), resamples=100)
    told = {repr(one) for one in after}
    assert all(repr(one) in told for one in before if not one.overall)
