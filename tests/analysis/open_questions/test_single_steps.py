"""Which step carries the gradient, and whether a wrong one shows, as planted."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from helpers.step_rows import Tables, no_effect, planted

from gradsweep.analysis.claims import Outcome, Verdict
from gradsweep.analysis.open_questions import Answer, Answered, evaluate_open_questions
from gradsweep.analysis.open_questions.single_steps import UNSPOILT


def single_steps(tables: Tables) -> Answered:
    rows, samples = tables
    answered = evaluate_open_questions(rows, samples=samples, resamples=200)
    return next(one for one in answered if one.question.key == "single_steps")


def answer(found: Answered, beginning: str) -> Answer:
    return next(a for a in found.answers if a.statement.statistic.startswith(beginning))


def test_a_wrong_step_that_stands_out_beyond_its_loss_is_shown() -> None:
    found = single_steps(planted(lambda noise, loss, w: no_effect(noise, loss, w) + 2 * w))
    shown = answer(found, "AUC of nuclear norm larger, first wrong step")
    assert shown.verdict is Verdict.SUPPORTED
    assert [control.outcome for control in shown.controls] == [Outcome.SAME]
    assert shown.n_questions == 60
    assert answer(found, "AUC of nuclear norm larger - that of the loss").value > 0.2
    assert "AUC of the first wrong step" in found.said[0]


def test_one_that_stands_out_by_its_loss_alone_is_not_shown_with_the_loss_taken_out() -> None:
    rows, samples = planted(lambda noise, loss, w: 2 * loss + 0.01 * no_effect(noise, loss, w))
    found = single_steps((rows, samples))
    shown = answer(found, "AUC of nuclear norm larger, first wrong step")
    assert shown.verdict is not Verdict.SUPPORTED
    assert answer(found, "AUC of loss larger").n_questions == 60


def test_the_place_that_has_more_of_the_gradient_than_of_the_tokens_carries_it() -> None:
    def last(noise: np.random.Generator, loss: np.ndarray, wrong: np.ndarray) -> np.ndarray:
        return np.log(np.tile([1.0, 1.0, 1.0, 1.0, 4.0], (len(wrong), 1)))

    found = single_steps(planted(last, n=20))
    final = answer(found, "share of the gradient over share of the tokens, final")
    first = answer(found, "share of the gradient over share of the tokens, first")
    share, tokens = 4 * 14 / (10 + 11 + 12 + 13 + 4 * 14), 14 / 60
    assert final.value == pytest.approx(share / tokens)
    assert final.verdict is Verdict.SUPPORTED
    assert first.verdict is Verdict.NOT_SUPPORTED
    assert {numbers.name for numbers in found.numbers} == {"norms", "shares", "wrong_steps"}


def test_points_of_steps_are_in_no_other_answer() -> None:
    rows, samples = planted(no_effect, n=12)
    answered = evaluate_open_questions(rows, samples=samples, resamples=100)
    assert [one.question.key for one in answered if one.numbers] == ["single_steps"]


def test_a_step_that_stood_out_before_it_was_spoilt_is_no_evidence() -> None:
    """Planted norms single the wrong step out whether it is spoilt or not."""
    rows, samples = planted(lambda noise, loss, w: no_effect(noise, loss, w) + 2 * w)
    spoilt = {"cot": "detailed_corrupted", "point_id": "spoilt"}
    whole = {"cot": "detailed", "point_id": "whole"}
    twins = [
        pl.concat(frame.with_columns(**{n: pl.lit(v) for n, v in own.items()})
                  for own in (spoilt, whole))
        for frame in (rows, samples)
    ]  # fmt: skip
    unlabelled = pl.when(point_id="spoilt").then("step_label").alias("step_label")
    found = single_steps((twins[0], twins[1].with_columns(unlabelled)))
    shown = answer(found, "AUC of nuclear norm larger, first wrong step")
    assert shown.verdict is Verdict.SUPPORTED
    before = {control.name: control for control in shown.controls}[UNSPOILT]
    assert before.value == pytest.approx(0.5)
    assert before.verdict is Verdict.NOT_SUPPORTED
    assert "before it was spoilt" in " ".join(found.said)
