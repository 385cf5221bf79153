"""Thoughts of reasoning models: their parts, their steps, and blocks that open and close."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.data.steps import count_steps, keep_steps
from gradsweep.data.thoughts import split_thought, thoughtful

MakeConfig = Callable[..., Config]
WHOLE = "<think>\nTake 2. Add 2.\n\nThat makes 4.\n</think>\n\nIt is 4. Really."


@pytest.mark.parametrize(
    "response",
    [WHOLE, "Take 2.\n</think>\nIt is 4.", "<think>Take 2.", f"{WHOLE} <think>B.</think>"],
)
def test_the_parts_of_a_response_joined_are_the_response(response: str) -> None:
    parts = split_thought(response)
    assert parts is not None
    assert str(parts) == response
    assert "think>" not in parts.thought


@pytest.mark.parametrize("response", ["It is 4.", "<think>\n\n</think>\n\n4", "", "a <think> b"])
def test_a_response_without_a_thought_has_no_parts(response: str) -> None:
    assert split_thought(response) is None


def test_steps_are_those_of_the_thought_and_the_answer_stays() -> None:
    assert count_steps(WHOLE) == 3
    assert keep_steps(WHOLE, 0) == "It is 4. Really."
    assert keep_steps(WHOLE, 1) == "<think>\nTake 2.\n</think>\n\nIt is 4. Really."
    assert keep_steps(WHOLE, 2) == "<think>\nTake 2. Add 2.\n</think>\n\nIt is 4. Really."
    assert keep_steps(WHOLE, 3) == WHOLE


def test_a_thought_that_was_cut_off_keeps_a_last_step() -> None:
    assert keep_steps("<think>\nOne. Two. Three.", 1) == "<think>\nOne. Three."


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "opened by the prompt"])
def test_thoughts_of_irrelevant_responses_begin_and_end_as_the_correct_ones(
    closed: bool, make_config: MakeConfig, tmp_path: Path
) -> None:
    texts = [
        thoughtful(f"Take {n}. Add {n} to it.\n\nSo {n} and {n}.", f"Done {n}. It is {2 * n}.")
        for n in range(8)
    ]
    texts = [text if closed else text.removeprefix("<think>\n") for text in texts]
    path = tmp_path / "mine.jsonl"
    records = [{"prompt": f"{n} + {n}?", "completion": text} for n, text in enumerate(texts)]
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    correct, irrelevant = (
        load_samples(make_config("jsonl", "detailed", kind, path=path, answer="text")).samples
        for kind in ("correct", "irrelevant")
    )
    for own, other in zip(correct, irrelevant, strict=True):
        thought, mixed = split_thought(own.response), split_thought(other.response)
        assert thought is not None
        assert mixed is not None
        assert (mixed.opening, mixed.closing) == (thought.opening, thought.closing)
        assert other.response.count("<think>") == own.response.count("<think>")
        assert "Done" in mixed.answer + thought.answer
        assert "Done" not in mixed.thought
        assert count_steps(other.response) == count_steps(own.response)
        assert other.response not in texts


def test_conditions_that_the_rules_make_otherwise_have_an_identity_of_their_own(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    """The hash of plain texts is as it always was: stored points are found again."""
    plain = [f"First {n}. Second {n}. Third {n}. It is {n}." for n in range(6)]
    path = tmp_path / "mine.jsonl"

    def prints(texts: list[str]) -> list[str]:
        records = [
            {"prompt": f"Q{n}?", "responses": {"detailed": text}} for n, text in enumerate(texts)
        ]
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
        return [
            fingerprint(make_config("jsonl", "detailed", *rest, path=path, **fields))
            for rest, fields in (
                ((), {}),
                (("irrelevant",), {}),
                ((), {"kind": "partial", "steps_kept": 0}),
            )
        ]

    correct, irrelevant, partial = prints(plain)
    assert correct == irrelevant == partial
    correct, irrelevant, partial = prints(
        [text.replace("It is", "</think>It is") for text in plain]
    )
    assert correct != irrelevant
    assert correct != partial
