"""Steps kept: dose-response curves settle where they were planted to, in each kind of layers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from helpers.question_rows import N_LAYERS, planted

from gradsweep.analysis.claims import Outcome, Verdict
from gradsweep.analysis.open_questions import Answer, Answered, evaluate_open_questions

N = 30
STEPS = {"partial_0": 0, "partial_1": 1, "partial_2": 2, "partial_4": 4, "detailed": 8}


def doses(
    fall: float, settled: float, projections: str, later: float = 0.0, **more: float
) -> tuple[pl.DataFrame, ...]:
    """Norms that fall by exp(−fall) with each doubling of 1 + steps, until `settled` steps, and by
    exp(−later) from there on.

    Every step is 20 tokens; `more` are further levels, with their factor to `detailed`.
    """
    rng = np.random.default_rng(0)
    of_question = rng.lognormal(sigma=0.3, size=N)
    conditions, shapes = {}, {}
    last = np.exp(-fall * np.log2(1 + min(8, settled)))
    for cot, steps in STEPS.items():
        before = np.log2(1 + min(steps, settled))
        norm = np.exp(-fall * before - later * (np.log2(1 + steps) - before))
        conditions[cot, "correct"] = _values(norm, 20.0 * (steps + 1), of_question, rng)
        shapes[cot, "correct"] = np.linspace(0.5, 1.5, N_LAYERS)
    for cot, factor in more.items():
        conditions[cot, "correct"] = _values(factor * last, 180.0, of_question, rng)
        shapes[cot, "correct"] = np.linspace(0.5, 1.5, N_LAYERS)
    return planted(conditions, n_questions=N, projections=projections, shape=shapes)


def _values(
    norm: float, tokens: float, of_question: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray | float]:
    noise = rng.lognormal(sigma=0.1, size=N)
    return {"nuclear_norm": norm * of_question * noise, "tokens": tokens, "loss": norm}


def asked(rows: pl.DataFrame, samples: pl.DataFrame) -> Answered:
    found = evaluate_open_questions(rows, samples=samples, resamples=300)
    return next(one for one in found if one.question.key == "steps_kept")


def answers(found: Answered) -> dict[str, Answer]:
    return {answer.statement.statistic: answer for answer in found.answers}


def test_attention_settles_where_it_was_planted_and_a_flat_mlp_nowhere():
    settling, samples = doses(0.8, 2, "qkvo")
    mlp, _ = doses(0.0, 8, "q")
    rows = pl.concat([settling, mlp.with_columns(projection=pl.lit("gate"))])
    found = answers(asked(rows, samples))
    for quantity in ("mean", "MAD"):
        attention = found[f"steps kept where log {quantity} settles, attention"]
        assert attention.verdict is Verdict.SUPPORTED
        assert attention.value == 2
        assert attention.low <= 2 <= attention.high
        mlp_answer = found[f"steps kept where log {quantity} settles, feed-forward"]
        assert mlp_answer.verdict is Verdict.NOT_SUPPORTED
        assert np.isnan(mlp_answer.value)
        assert "flat" in mlp_answer.reason


def test_a_bend_after_which_it_goes_on_is_no_plateau():
    found = answers(asked(*doses(0.8, 2, "q", later=0.15)))
    mean = found["steps kept where log mean settles, attention"]
    assert mean.verdict is Verdict.UNDECIDED
    assert "goes on" in mean.reason
    assert np.isnan(mean.value)


def test_the_summed_loss_is_a_control_of_the_change_point():
    found = answers(asked(*doses(0.8, 2, "q")))
    mean = found["steps kept where log mean settles, attention"]
    outcomes = {control.name: control.outcome for control in mean.controls}
    assert outcomes.keys() == {"loss summed over tokens", "the loss in place of the gradient"}
    assert outcomes["loss summed over tokens"] is not Outcome.NOT_CONTROLLED


def test_an_ablation_is_paired_with_the_whole_rationale():
    found = answers(asked(*doses(0.8, 2, "q", detailed_shuffled=1.0, detailed_corrupted=1.5)))
    same = found["mean, detailed_shuffled / detailed, attention"]
    assert same.verdict is Verdict.NOT_SUPPORTED, "alike"
    wrong = found["mean, detailed_corrupted / detailed, attention"]
    assert wrong.low <= 1.5 <= wrong.high
    assert wrong.verdict is Verdict.SUPPORTED


def test_the_table_has_every_dose_and_simplified_beside():
    found = asked(*doses(0.8, 2, "q", simplified=1.2))
    (table,) = found.numbers
    assert table.frame["steps kept"].to_list() == ["0", "1", "2", "4", "all", "simplified"]
    lines = {line["steps kept"]: line for line in table.frame.to_dicts()}
    assert lines["all"]["mean"] == pytest.approx(1.0)
    assert lines["0"]["mean"] == pytest.approx(np.exp(0.8 * np.log2(3)), rel=0.1)
    assert lines["0"]["tokens"] == 20.0
    assert lines["0"]["mean low"] < lines["0"]["mean"] < lines["0"]["mean high"]


def test_without_doses_it_says_what_to_run():
    rows, samples = doses(0.8, 2, "q")
    kept = rows.filter(pl.col("cot").is_in(["detailed", "partial_0"]))
    found = asked(kept, samples)
    assert found.answers == ()
    assert "cot.steps_kept=0,1,2,4" in found.run
