"""Conditions whose texts do not differ are found, and sound ones are not."""

from __future__ import annotations

import pytest

from gradsweep.doctor.check import CheckState
from gradsweep.doctor.responses import check_irrelevant, check_levels
from gradsweep.records import Sample


def samples(*responses: str) -> list[Sample]:
    return [Sample(f"s{i}", f"q{i}", f"{i}?", text, i) for i, text in enumerate(responses)]


RIGHT = [f"Case {i} has quite a lot of parts.\nThe final answer is {i}" for i in range(10)]


def test_other_responses_are_fine():
    others = [f"Nobody knows case {i} at all.\nThe final answer is {i + 1}" for i in range(10)]
    found = check_irrelevant(samples(*RIGHT), samples(*others))
    assert found.state is CheckState.OK
    assert not found.remedy


def test_irrelevant_responses_that_are_the_correct_ones_are_a_problem():
    found = check_irrelevant(samples(*RIGHT), samples(*RIGHT))
    assert found.state is CheckState.PROBLEM
    assert "10 of 10 (100 %) are the correct response itself" in found.finding


def test_a_binary_answer_that_stays_the_same_in_half_of_them_is_a_problem():
    found = check_irrelevant(samples(*["yes"] * 10), samples(*["yes", "no"] * 5))
    assert found.state is CheckState.PROBLEM
    assert "5 of 10 (50 %)" in found.finding
    assert "correctness.source=generated" in found.remedy


@pytest.mark.parametrize(
    ("irrelevant", "words"),
    [
        ("Something else is said here.\nThe final answer is 3", "1 of 10 (10 %) keep the correct"),
        ("CASE 3 has quite a lot of parts!\nThe final answer is 8", "hold a sentence"),
    ],
)
def test_a_kept_answer_or_sentence_is_a_warning(irrelevant: str, words: str):
    others = [f"Nobody knows case {i} at all.\nThe final answer is {i + 1}" for i in range(10)]
    others[3] = irrelevant
    found = check_irrelevant(samples(*RIGHT), samples(*others))
    assert found.state is CheckState.WARNING
    assert words in found.finding


def test_everyday_sentences_may_be_shared():
    found = check_irrelevant(samples("So there. It is 3."), samples("So there. That makes 4 then."))
    assert found.state is CheckState.OK


def test_without_a_common_question_nothing_is_said():
    other = [Sample("s", "another", "?", "no", 0)]
    assert check_irrelevant(samples("yes"), other).state is CheckState.NOT_CHECKED


@pytest.mark.parametrize(
    ("lengths", "state"),
    [
        ({"none": [1, 2], "simplified": [30, 40], "detailed": [200, 300]}, CheckState.OK),
        ({"none": [1, 2], "simplified": [200, 300], "detailed": [200, 300]}, CheckState.PROBLEM),
        ({"none": [9, 9], "detailed": [3, 3]}, CheckState.PROBLEM),
        ({"none": [1, 1], "simplified": [100, 100], "detailed": [120, 120]}, CheckState.WARNING),
        ({"none": [100, 120]}, CheckState.OK),
    ],
)
def test_levels_must_grow_in_length(lengths: dict[str, list[int]], state: CheckState):
    found = check_levels(lengths)
    assert found.state is state
    assert bool(found.remedy) == (state is not CheckState.OK)


def test_the_level_that_is_no_longer_is_named():
    found = check_levels({"none": [2], "simplified": [50], "detailed": [50]}, "words")
    assert "detailed is 1.00 times as long as simplified" in found.finding
    assert "words" in found.finding
