"""The follow-up's claims on planted samples: found where they are, and not by length alone."""

from __future__ import annotations

import numpy as np
import polars as pl

from gradsweep.analysis import evaluate_rated_claims
from gradsweep.analysis.claims import Finding, Outcome, Verdict
from gradsweep.analysis.claims.data_quality import EQUAL_LENGTH

REDUCED = "loss summed over tokens"
Tables = tuple[pl.DataFrame, pl.DataFrame]


def planted(
    dataset: str,
    *,
    norm: float = 1.0,
    rank: float = 5.0,
    tokens: int = 100,
    by_length: float = 0.0,
    cosine: float = float("nan"),
    n: int = 40,
    seed: int = 0,
) -> Tables:
    """A point of `n` samples: norms of about `norm` · (tokens / 100) ** `by_length`."""
    draws = np.random.default_rng([seed, *dataset.encode()])
    names = [f"{dataset}{place}" for place in range(n)]
    lengths = np.exp(draws.normal(np.log(tokens), 0.4, n)).round().clip(2)
    norms = norm * (lengths / 100) ** by_length * np.exp(draws.normal(0, 0.2, n))
    labels = {
        "point_id": dataset, "model": "tiny", "dataset": dataset, "cot": "none",
        "correctness": "correct", "objective": "sft", "series": "", "seed": 0,
    }  # fmt: skip
    samples = pl.DataFrame({
        **{name: [value] * n for name, value in labels.items()},
        "sample_id": names, "question_id": names, "n_response_tokens": lengths.astype(int),
    })  # fmt: skip
    rows = samples.drop("n_response_tokens").with_columns(
        layer=pl.lit(0), projection=pl.lit("q"), head=pl.lit(None, pl.Int32()),
        member=pl.lit(None, pl.String()), finite=pl.lit(True), nuclear_norm=norms,
        effective_rank=rank * np.exp(draws.normal(0, 0.2, n)),
        cosine_next_layer=cosine + draws.normal(0, 0.01, n),
    )  # fmt: skip
    return rows, samples


def findings(*points: Tables, claim: int) -> list[Finding]:
    rows, samples = (pl.concat(frames) for frames in zip(*points, strict=True))
    found = evaluate_rated_claims(rows, samples, resamples=300)
    return [f for f in found if f.claim == claim and not f.overall]


def outcomes(finding: Finding) -> dict[str, Outcome]:
    return {control.name: control.outcome for control in finding.controls}


def test_smaller_and_richer_gradients_of_better_data_are_found() -> None:
    ends = planted("d quality=high", rank=8.0), planted("d quality=low", norm=2.0)
    smaller, richer = findings(*ends, claim=8)
    assert (smaller.verdict, richer.verdict) == (Verdict.SUPPORTED, Verdict.SUPPORTED)
    assert smaller.low < 2.0 < smaller.high
    assert richer.low < 1.6 < richer.high
    assert smaller.dataset == "d"
    assert set(smaller.point_ids) == {"d quality=high", "d quality=low"}
    assert outcomes(smaller)[EQUAL_LENGTH] is Outcome.SAME


def test_a_difference_that_is_length_alone_goes_when_length_is_taken_out() -> None:
    ends = (
        planted("d quality=high", tokens=400, by_length=-0.5),
        planted("d quality=low", tokens=100, by_length=-0.5),
    )
    smaller = findings(*ends, claim=8)[0]
    assert smaller.verdict is Verdict.SUPPORTED, "as the follow-up measures it"
    assert outcomes(smaller)[REDUCED] is Outcome.REVERSED
    at_length = {c.name: c for c in smaller.controls}[EQUAL_LENGTH]
    assert at_length.low < 1.0 < at_length.high
    assert at_length.outcome is not Outcome.SAME


def test_equal_ends_support_nothing() -> None:
    verdicts = [
        finding.verdict
        for seed in range(20)
        for finding in findings(
            planted("d quality=high", seed=seed), planted("d quality=low", seed=seed), claim=8
        )
    ]
    assert verdicts.count(Verdict.SUPPORTED) == 0


def test_thoughts_are_compared_with_the_best_of_all_rated_data() -> None:
    points = (
        planted("s1_r1", rank=20.0, tokens=900),
        planted("gsm8k_r1", rank=5.0),
        planted("a quality=high"),
        planted("b quality=high", rank=6.0),
        planted("b quality=low", rank=1.0),
    )
    of_gsm8k, of_s1 = findings(*points, claim=9)
    assert (of_gsm8k.dataset, of_gsm8k.verdict) == ("gsm8k_r1", Verdict.NOT_SUPPORTED)
    assert (of_s1.dataset, of_s1.verdict) == ("s1_r1", Verdict.SUPPORTED)


def test_cosines_are_close_to_zero_or_not_or_not_there() -> None:
    alike, unlike, unknown = (
        findings(planted("d quality=low", cosine=cosine), claim=10)[0]
        for cosine in (0.3, 0.01, float("nan"))
    )
    assert alike.verdict is Verdict.NOT_SUPPORTED
    assert unlike.verdict is Verdict.SUPPORTED
    assert unknown.verdict is Verdict.NOT_TESTABLE
    assert "gradients.similarities=true" in unknown.reason


def test_what_is_missing_is_said() -> None:
    lonely = findings(planted("d quality=high"), claim=8)
    assert {finding.verdict for finding in lonely} == {Verdict.NOT_TESTABLE}
    assert "quality=low" in lonely[0].reason
    few = planted("d quality=high", n=4), planted("d quality=low", n=40)
    assert findings(*few, claim=8)[0].verdict is Verdict.TOO_FEW


def test_other_points_change_nothing_and_have_no_claims_of_these() -> None:
    ends = planted("d quality=high"), planted("d quality=low", norm=2.0)
    rows, samples = planted("arithmetic")
    assert evaluate_rated_claims(rows, samples) == []
    assert findings(*ends, (rows, samples), claim=8) == findings(*ends, claim=8)
