"""All questions together: what other points change, what is said of nothing, one table of all."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from helpers.question_rows import planted

from gradsweep.analysis.open_questions import (
    OPEN_QUESTIONS,
    answers_frame,
    evaluate_open_questions,
)
from gradsweep.analysis.open_questions.material import values_by_question
from gradsweep.errors import ConfigError

N = 20


def rows_and_samples(**settings: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(0)
    return planted(
        {
            (cot, kind): {
                "nuclear_norm": level * rng.lognormal(sigma=0.1, size=N),
                "tokens": rng.integers(tokens, 2 * tokens, N).astype(float),
                "loss": rng.lognormal(sigma=0.1, size=N),
            }
            for cot, level, tokens in (("none", 5.0, 3), ("detailed", 1.0, 90))
            for kind in ("correct", "irrelevant")
        },
        n_questions=N,
        **settings,
    )


def test_every_question_is_answered_or_says_what_to_run():
    rows, samples = rows_and_samples()
    found = evaluate_open_questions(rows, samples=samples, resamples=100)
    assert [one.question for one in found] == list(OPEN_QUESTIONS)
    assert all(one.answers or "gradsweep" in one.run for one in found)


def test_values_of_questions_are_the_same_each_time_to_the_last_bit():
    rows, samples = rows_and_samples()
    rng = np.random.default_rng(1)
    rows = pl.concat(
        rows.with_columns(projection=pl.lit(name), nuclear_norm=rng.lognormal(size=len(rows)))
        for name in "qkvo"
    )
    first, *others = (values_by_question(rows, samples, ["nuclear_norm"]) for _ in range(5))
    assert all(first.equals(other) for other in others)


def test_points_of_another_dataset_or_objective_change_no_number():
    rows, samples = rows_and_samples()
    other_rows, other_samples = rows_and_samples(dataset="others")
    dpo = other_rows.with_columns(
        objective=pl.lit("dpo"), point_id=pl.col("point_id") + "dpo", nuclear_norm=9.0
    )
    alone = answers_frame(evaluate_open_questions(rows, samples=samples, resamples=100))
    together = answers_frame(
        evaluate_open_questions(
            pl.concat([dpo, rows, other_rows]), samples=pl.concat([other_samples, samples]),
            resamples=100,
        )
    ).filter(dataset="sums")  # fmt: skip
    assert together.equals(alone.filter(dataset="sums"))


def test_the_table_of_answers_has_their_controls_below_them():
    rows, samples = rows_and_samples()
    table = answers_frame(evaluate_open_questions(rows, samples=samples, resamples=100))
    controls = table.filter(pl.col("under") != "")
    assert "loss summed over tokens" in controls["under"].to_list()
    assert (controls["outcome"] != "").all()
    assert table.filter(pl.col("under") == "")["outcome"].unique().to_list() == [""]


@pytest.mark.parametrize("wrong", [{"confidence": 1.0}, {"resamples": 10}, {"metric": "size"}])
def test_impossible_settings_are_refused(wrong: dict[str, object]):
    rows, samples = rows_and_samples()
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        evaluate_open_questions(rows, samples=samples, **wrong)  # type: ignore[arg-type]


def test_reading_does_not_import_torch():
    code = "import gradsweep.analysis.open_questions, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
