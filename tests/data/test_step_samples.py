"""Samples of single steps: a response's steps are all of it, once each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from helpers.fuzzing import bounded
from hypothesis import given
from hypothesis import strategies as st

from gradsweep.config import Config, GradientsConfig, Resolution
from gradsweep.data import load_samples
from gradsweep.data.sentences import TextRules
from gradsweep.data.steps import count_steps, split_response, step_ends
from gradsweep.data.thoughts import thoughtful
from gradsweep.records import Sample, StepLabel

MakeConfig = Callable[..., Config]
SHORT = "A mug costs 3. Two cost 6.\nThe final answer is 6"


def by_step(config: Config) -> list[Sample]:
    return load_samples(replace(config, gradients=GradientsConfig(by=Resolution.step))).samples


def texts(samples: list[Sample]) -> list[str]:
    steps = [(s.response, s.step) for s in samples]
    return [response[step.start : step.end] for response, step in steps if step is not None]


pieces = (
    "A b. ",
    "C!",
    "\n\n",
    "- ",
    "1. ",
    "<think>",
    "</think>",
    "So 7.",
    "The final answer is 7",
)


@bounded
@given(text=st.lists(st.sampled_from(pieces) | st.text(max_size=3)).map("".join),
       rules=st.sampled_from(TextRules))  # fmt: skip
def test_ends_part_any_text_and_count_its_steps(text: str, rules: TextRules) -> None:
    ends = step_ends(text, rules)
    assert ends == sorted(set(ends)) or not text
    assert ends[-1] == len(text)
    assert len(ends) == count_steps(text, rules) + 1
    parts = split_response(text, rules)
    assert f"{parts.opening}{''.join(parts.steps)}{parts.final}" == text


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (SHORT, ["A mug costs 3.", " Two cost 6.", "\nThe final answer is 6"]),
        ("One. Two. So 3.", ["One.", " Two.", " So 3."]),
        ("6", ["6"]),
        (
            thoughtful("One. Two.", "So 3."),
            ["<think>\nOne.", " Two.", "\n</think>\n\nSo 3."],
        ),
    ],
)
def test_the_final_answer_is_the_last_step(
    response: str, expected: list[str], own: MakeConfig
) -> None:
    records = [{"prompt": "Q?", "responses": {"detailed": response}}]
    assert texts(by_step(own(records, cot="detailed"))) == expected


def test_steps_of_a_question_share_it_and_have_ids_of_their_own(make_config: MakeConfig) -> None:
    config = make_config("arithmetic", "simplified", n_samples=5)
    samples, whole = by_step(config), load_samples(config).samples
    assert [sample.index for sample in samples] == list(range(len(samples)))
    assert len({sample.sample_id for sample in samples}) == len(samples)
    assert {s.question_id for s in samples} == {s.question_id for s in whole}
    for sample in whole:
        steps = [s for s in samples if s.question_id == sample.question_id]
        assert "".join(texts(steps)) == sample.response
        assert [s.step.index for s in steps if s.step] == list(range(len(steps)))
        assert sample.sample_id not in {s.sample_id for s in steps}


def test_borders_and_labels_are_the_file_s_own(own: MakeConfig) -> None:
    steps = ["First. It has two sentences.", "Then 2 + 2 = 5.", "So 5."]
    record = {"problem": "2 + 2?", "steps": steps, "label": 1, "final_answer_correct": False}
    samples = by_step(own([record], cot="detailed"))
    assert [text.strip() for text in texts(samples)] == steps
    labels = [sample.step.label for sample in samples if sample.step]
    assert labels == [StepLabel.RIGHT, StepLabel.WRONG, StepLabel.AFTER_WRONG]


def test_labels_do_not_outlive_a_change_of_the_text(own: MakeConfig) -> None:
    record = {"problem": "2 + 2?", "steps": ["One 1. Two 2.", "Three 3.", "So 5."], "label": 1}
    samples = by_step(own([record], cot="detailed", ablate="shuffle"))
    assert [sample.step.label for sample in samples if sample.step] == [None] * 4


def test_the_step_with_the_changed_digit_is_the_wrong_one(make_config: MakeConfig) -> None:
    config = make_config("arithmetic", "detailed", ablate="corrupt", n_samples=6)
    whole = {s.question_id: s for s in load_samples(make_config("arithmetic", "detailed")).samples}
    samples = by_step(config)
    for question_id in {sample.question_id for sample in samples}:
        steps = [s for s in samples if s.question_id == question_id and s.step]
        right = whole[question_id].response
        found = [s.step.label for s in steps if s.step]
        differs = [
            s.response[s.step.start : s.step.end] != right[s.step.start : s.step.end]
            for s in steps
            if s.step
        ]
        wrong = differs.index(True)
        assert differs.count(True) == 1
        assert found[: wrong + 1] == [StepLabel.RIGHT] * wrong + [StepLabel.WRONG]
        assert set(found[wrong + 1 :]) <= {StepLabel.AFTER_WRONG}


def test_steps_of_spoilt_irrelevant_responses_have_no_labels(make_config: MakeConfig) -> None:
    config = make_config("arithmetic", "detailed", "irrelevant", ablate="corrupt", n_samples=4)
    assert {sample.step.label for sample in by_step(config) if sample.step} == {None}
