"""The claims about training: what is planted is found, what is not is not claimed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.stored_points import store_point
from helpers.stored_training import store_run

from gradsweep.analysis.claims import (
    Finding,
    Outcome,
    Verdict,
    claim_verdicts,
    evaluate_training_claims,
)
from gradsweep.analysis.claims.controls import OF_LOSS, REDUCTION
from gradsweep.analysis.claims.foretells import DECIDES, FEWEST_RUNS, STATEMENTS
from gradsweep.analysis.claims.gap_stays import AFTER, BEFORE, KEPT
from gradsweep.records import Axes
from gradsweep.store.training import load_training

NONE = Axes("tiny", "sums", "none", "correct")
LONG = "the same response length"


def found(results: Path, statistic: str, dataset: str = "all") -> Finding:
    every = evaluate_training_claims(load_training(results), resamples=200)
    (one,) = (f for f in every if f.statistic == statistic and f.dataset == dataset)
    return one


def size_with(measure: str, size: str = "mean") -> str:
    return STATEMENTS[size, measure].statistic


def store_runs(
    results: Path, n: int, moves: Callable[[float], float], tokens: Callable[[float], int]
) -> None:
    """Runs whose step-0 norms go from 1 to 4, whose gradients move by `moves` of it."""
    for index, norm in enumerate(np.linspace(1, 4, n)):
        own = np.random.default_rng(index)
        norms = np.exp(own.normal(0, 1, 30) * moves(norm))
        store_run(results, f"run{index}", NONE, update=[norm], losses=[1.0] * 30,
                  norms=list(norms), tokens_per_step=tokens(norm), seed=index,
                  learning_rate=1e-4 * (1 + index % 2), unevenness=0.1 * norm,
                  finish=False)  # fmt: skip


def test_runs_that_move_more_where_step_0_is_larger_support_it(tmp_path: Path):
    store_runs(tmp_path, 16, moves=lambda norm: 0.1 * norm, tokens=lambda norm: 100)
    one = found(tmp_path, size_with(DECIDES))
    assert one.verdict is Verdict.SUPPORTED
    assert one.value > 0.8
    assert one.n_questions == 16
    of_mad = found(tmp_path, size_with(DECIDES, "mad"))
    assert of_mad.verdict is Verdict.SUPPORTED
    (rate,) = (c for c in one.controls if c.name == "the same learning rate")
    assert rate.outcome is Outcome.SAME
    (length,) = (c for c in one.controls if c.name == LONG)
    assert length.outcome is Outcome.NOT_CONTROLLED
    assert "all runs have the same response length" in length.reason


def test_where_nothing_is_planted_nothing_is_claimed(tmp_path: Path):
    store_runs(tmp_path, 30, moves=lambda norm: 0.2, tokens=lambda norm: 100)
    verdicts = []
    for start in range(3):
        tables = load_training(tmp_path, [f"run{index}" for index in range(start, 30, 3)])
        every = evaluate_training_claims(tables, resamples=200)
        verdicts += [f.verdict for f in every if f.statistic == size_with(DECIDES)][:1]
    assert verdicts.count(Verdict.SUPPORTED) <= 1
    assert Verdict.TOO_FEW not in verdicts


def test_the_response_length_that_decides_both_takes_the_verdict_away(tmp_path: Path):
    """Larger gradients are those of shorter responses, and these alone move the norm."""
    chance = np.random.default_rng(4)
    for index, tokens in enumerate(range(10, 30)):
        norm = 40 / tokens * np.exp(chance.normal(0, 0.15))
        norms = np.exp(chance.normal(0, 1, 60) * 3 / tokens)
        store_run(tmp_path, f"run{index}", NONE, update=[norm], losses=[1.0] * 60,
                  norms=list(norms), tokens_per_step=4 * tokens, seed=index,
                  finish=False)  # fmt: skip
    one = found(tmp_path, size_with(DECIDES))
    assert one.verdict is Verdict.SUPPORTED
    (length,) = (c for c in one.controls if c.name == LONG)
    assert length.outcome is Outcome.CHANGED
    assert length.low < 0 < length.high


def test_few_runs_have_a_value_and_no_verdict(tmp_path: Path):
    store_runs(tmp_path, FEWEST_RUNS - 1, moves=lambda norm: 0.1 * norm, tokens=lambda norm: 100)
    one = found(tmp_path, size_with(DECIDES))
    assert one.verdict is Verdict.TOO_FEW
    assert np.isfinite([one.value, one.low, one.high]).all()
    assert f"{FEWEST_RUNS} are needed" in one.reason


def test_own_probes_say_what_step_0_shows_where_every_run_has_them(tmp_path: Path):
    for index in range(10):
        probes = {"none": {0: 1.0 + index}, "detailed": {0: 0.5}}
        norms = np.exp(np.random.default_rng(index).normal(0, 0.05 * (1 + index), 30))
        store_run(tmp_path, f"run{index}", NONE, update=[10.0 - index], probes=probes,
                  losses=[1.0] * 30, norms=list(norms), seed=index, n_questions=2,
                  finish=False)  # fmt: skip
    assert found(tmp_path, size_with(DECIDES)).value > 0.5


def store_gap(results: Path, name: str, before: float, after: float, **changes: object) -> None:
    probes = {"none": {0: before, 10: after}, "detailed": {0: 1.0, 10: 1.0}}
    store_run(results, name, NONE, probes=probes, losses=[1.0], **{"n_questions": 20} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("after", "verdict"),
    [(6.0, Verdict.SUPPORTED), (1.5, Verdict.NOT_SUPPORTED), (8**0.5, Verdict.UNDECIDED)],
)
def test_a_gap_stays_where_half_of_its_logarithm_is_left(
    tmp_path: Path, after: float, verdict: Verdict
):
    store_gap(tmp_path, "run", 8.0, after)
    one = found(tmp_path, KEPT.statistic)
    assert one.value == pytest.approx(np.log(after) / np.log(8), abs=0.04)
    assert one.verdict is verdict
    assert found(tmp_path, BEFORE.statistic).value == pytest.approx(8, rel=0.05)
    assert found(tmp_path, AFTER.statistic).value == pytest.approx(after, rel=0.05)


def test_its_controls_are_the_summed_loss_and_the_loss_itself(tmp_path: Path):
    store_gap(tmp_path, "run", 8.0, 1.5)
    controls = {c.name: c for c in found(tmp_path, KEPT.statistic).controls}
    assert set(controls) == {REDUCTION["mean"], OF_LOSS}
    # 30 times as many tokens: the sum has it the other way round, and all of it stays.
    expected = np.log(1.5 / 30) / np.log(8 / 30)
    assert controls[REDUCTION["mean"]].value == pytest.approx(expected, rel=0.05)
    assert controls[REDUCTION["mean"]].outcome is Outcome.REVERSED


def test_without_a_gap_before_or_a_probe_after_there_is_nothing_to_test(tmp_path: Path):
    store_gap(tmp_path / "alike", "run", 1.0, 1.0)
    alike = found(tmp_path / "alike", KEPT.statistic)
    assert alike.verdict is Verdict.NOT_TESTABLE
    assert "no gap before training" in alike.reason
    store_run(tmp_path / "once", "run", NONE, probes={"none": {0: 2.0}, "detailed": {0: 1.0}})
    once = found(tmp_path / "once", KEPT.statistic)
    assert once.verdict is Verdict.NOT_TESTABLE
    assert "probe of both levels" in once.reason


def test_few_probe_questions_have_a_value_and_no_verdict(tmp_path: Path):
    store_gap(tmp_path, "run", 8.0, 6.0, n_questions=4)
    one = found(tmp_path, KEPT.statistic)
    assert one.verdict is Verdict.TOO_FEW
    assert one.low < one.value < one.high
    assert "4 probe questions" in one.reason


def test_points_that_are_not_trained_change_nothing(tmp_path: Path):
    store_gap(tmp_path, "run", 8.0, 6.0)
    store_run(tmp_path, "other", NONE, update=[1.0], losses=[1.0], seed=1)
    before = evaluate_training_claims(load_training(tmp_path), resamples=200)
    store_point(tmp_path, "plain", NONE, 3.0)
    after = evaluate_training_claims(load_training(tmp_path), resamples=200)
    # Names of series may have to say more in a folder with more points.
    assert [repr(replace(one, series="")) for one in before] == [
        repr(replace(one, series="")) for one in after
    ]


def test_each_claim_has_a_verdict_over_all_and_for_every_run(tmp_path: Path):
    store_gap(tmp_path, "first", 8.0, 6.0)
    store_gap(tmp_path, "second", 8.0, 6.0, seed=1)
    findings = evaluate_training_claims(load_training(tmp_path), resamples=200)
    scopes = [(v.claim, v.model, v.series, v.dataset) for v in claim_verdicts(findings)]
    assert scopes == [
        (6, "all", "", "all"), (6, "tiny", "", "all runs"),
        (7, "all", "", "all"),
        (7, "tiny", "seed=0", "sums cot=none"), (7, "tiny", "seed=1", "sums cot=none"),
    ]  # fmt: skip
