"""Reasoning or tokens: planted powers of the length are found, and what is left is told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from helpers.question_rows import planted

from gradsweep.analysis.claims import Outcome, Verdict
from gradsweep.analysis.open_questions import Answer, Answered, evaluate_open_questions

N = 40


def norms(slope: float, gap: float, seed: int = 0) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Levels whose norm goes as T^slope; without CoT it is `gap` times as large beside that."""
    rng = np.random.default_rng(seed)
    of_question = rng.lognormal(sigma=0.2, size=N)
    found = {}
    for cot, (least, most) in {
        "none": (2, 9),
        "simplified": (15, 60),
        "detailed": (90, 400),
    }.items():
        tokens = rng.integers(least, most, N).astype(float)
        noise = rng.lognormal(sigma=0.1, size=N)
        factor = gap if cot == "none" else 1.0
        found[cot, "correct"] = {
            "nuclear_norm": 5 * factor * tokens**slope * of_question * noise,
            "tokens": tokens,
        }
    return found


def asked(rows: pl.DataFrame, samples: pl.DataFrame | None) -> Answered:
    found = evaluate_open_questions(rows, samples=samples, resamples=300)
    return next(one for one in found if one.question.key == "reasoning_or_tokens")


@pytest.fixture
def answer() -> Callable[..., Answer]:
    def of(conditions: dict, statistic: str, dataset: str = "sums") -> Answer:
        found = asked(*planted(conditions)).answers
        return next(
            a for a in found if a.statement.statistic == statistic and a.scope.dataset == dataset
        )

    return of


LEFT = "mean, none / detailed, at equal T"
INSIDE = "slope of log mean on log T, inside"
BETWEEN = "slope of log mean on log T, between"


@pytest.mark.parametrize("slope", [-0.5, -0.2])
@pytest.mark.parametrize("statistic", [INSIDE, BETWEEN])
def test_a_planted_slope_lies_in_its_interval(answer, slope: float, statistic: str):
    found = answer(norms(slope, gap=1.0), statistic)
    assert found.low <= slope <= found.high
    assert found.high - found.low < 0.3
    assert found.verdict is Verdict.SUPPORTED


def test_tokens_alone_leave_no_gap_at_equal_length(answer):
    found = answer(norms(-0.5, gap=1.0), LEFT)
    assert found.low <= 1.0 <= found.high
    assert found.verdict is not Verdict.SUPPORTED
    averaged = answer(norms(-0.5, gap=1.0), "mean, none / detailed")
    assert averaged.verdict is Verdict.SUPPORTED


def test_what_reasoning_adds_is_left_at_equal_length_and_summing_reverses_it(answer):
    found = answer(norms(-0.5, gap=3.0), LEFT)
    assert found.low <= 3.0 <= found.high
    assert found.verdict is Verdict.SUPPORTED
    outcomes = {control.name: control.outcome for control in found.controls}
    assert outcomes["loss summed over tokens"] is Outcome.REVERSED
    assert outcomes["slope −0.5, as of independent tokens"] is Outcome.SAME
    assert outcomes["none as long as detailed"] is Outcome.NOT_CONTROLLED
    summed = answer(norms(-0.5, gap=3.0), "T · mean, none / detailed")
    assert summed.high < 1


def test_responses_of_the_same_length_are_the_control_where_they_are_there(answer):
    conditions = norms(-0.5, gap=3.0)
    detailed = conditions["detailed", "correct"]
    conditions["none_as_long_as_detailed", "correct"] = {
        "nuclear_norm": 0.4 * detailed["nuclear_norm"], "tokens": detailed["tokens"],
    }  # fmt: skip
    found = answer(conditions, LEFT)
    (matched,) = (one for one in found.controls if one.name == "none as long as detailed")
    assert matched.outcome is Outcome.REVERSED
    assert matched.value == pytest.approx(0.4)
    repeated = answer(conditions, "slope of log mean on log T, same content")
    assert repeated.value < -0.5


def test_both_reductions_of_every_condition_stand_side_by_side():
    found = asked(*planted(norms(-0.5, gap=3.0)))
    (table,) = found.numbers
    of_level = {line["condition"]: line for line in table.frame.to_dicts()}
    assert list(of_level) == ["none", "simplified", "detailed"]
    assert of_level["none"]["averaged"] > of_level["detailed"]["averaged"]
    assert of_level["none"]["summed"] < of_level["detailed"]["summed"]
    for line in of_level.values():
        assert line["averaged low"] <= line["averaged"] <= line["averaged high"]
        assert line["summed"] == pytest.approx(line["averaged"] * line["tokens"])
    (sentence,) = found.said
    assert "averaged over tokens" in sentence
    assert "summed 0." in sentence
    assert "reversed under loss summed over tokens" in sentence


def test_knowledge_texts_of_all_lengths_are_one_fit_of_their_own():
    rng = np.random.default_rng(1)
    frames = []
    for length in (100, 500, 1000):
        tokens = rng.integers(0.8 * length, 1.2 * length, N).astype(float)
        norm = tokens**-0.3 * rng.lognormal(sigma=0.1, size=N)
        values = {("none", "correct"): {"nuclear_norm": norm, "tokens": tokens}}
        frames.append(planted(values, dataset=f"wiki_popular_{length}"))
    rows, samples = (pl.concat(parts) for parts in zip(*frames, strict=True))
    found = asked(rows, samples)
    between = next(one for one in found.answers if one.statement.statistic == BETWEEN)
    assert between.scope.dataset == "wiki"
    assert between.low <= -0.3 <= between.high
    assert "cot=none,detailed" in found.run, "no reasoning task is there"


def test_levels_of_one_length_have_no_slope_and_say_so(answer):
    conditions = {
        (cot, "correct"): {"nuclear_norm": np.linspace(1, 2, N), "tokens": 10.0}
        for cot in ("none", "detailed")
    }
    found = answer(conditions, LEFT)
    assert found.verdict is Verdict.NOT_TESTABLE
    assert "same number of tokens" in found.reason


def test_without_samples_it_says_what_to_give():
    rows, _ = planted(norms(-0.5, gap=1.0))
    assert "load_samples_table" in asked(rows, None).run
