"""Records whose response is a list of steps: ProcessBench's, PRM800K's and TRL's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.data.labelled_steps import read_steps
from gradsweep.errors import DataError

MakeConfig = Callable[..., Config]
STEPS = ["We add.", "2 + 2 = 5.", "So 5."]


def labels(record: dict[str, Any]) -> list[str | None]:
    _, steps = read_steps(record, "here")
    return [step.label and step.label.value for step in steps]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (1, ["right", "wrong", "after_wrong"]),
        (1.0, ["right", "wrong", "after_wrong"]),
        (0, ["wrong", "after_wrong", "after_wrong"]),
        (-1, ["right", "right", "right"]),
        (None, [None, None, None]),
    ],
)
def test_an_index_says_which_step_is_the_first_wrong_one(
    label: float | None, expected: list[str | None]
) -> None:
    assert labels({"problem": "2 + 2?", "steps": STEPS, "label": label}) == expected


def completion(text: str, rating: int | None) -> dict[str, Any]:
    return {"text": text, "rating": rating, "flagged": None}


def rated(*steps: dict[str, Any], **question: Any) -> dict[str, Any]:
    told = {"steps": list(steps), "finish_reason": "found_error"}
    return {"labeler": "x", "question": {"problem": "2 + 2?", **question}, "label": told}


def chosen(
    *completions: dict[str, Any], index: int | None = 0, human: Any = None
) -> dict[str, Any]:
    return {
        "completions": list(completions), "human_completion": human, "chosen_completion": index,
    }  # fmt: skip


def test_ratings_of_the_chosen_completions_are_the_labels() -> None:
    record = rated(
        chosen(completion("We add.", 0)),
        chosen(completion("2 + 2 = 5.", -1), completion("2 + 2 = 4.", 1), index=1),
        chosen(completion("So 5.", -1), completion("So 4.", 1), index=None),
        pre_generated_steps=["We add.", "2 + 2 = 5.", "So 5."],
    )
    prompt, steps = read_steps(record, "here")
    assert prompt == "2 + 2?"
    assert [step.text for step in steps] == ["We add.", "2 + 2 = 4.", "So 5."]
    assert labels(record) == ["right", "right", "wrong"]


def test_what_was_written_behind_the_first_wrong_step_belongs_to_the_response() -> None:
    record = rated(
        chosen(completion("We add.", 1)),
        chosen(completion("2 + 2 = 5.", -1), completion("2 + 2 = 4.", 1), index=None),
        pre_generated_steps=STEPS,
    )
    _, steps = read_steps(record, "here")
    assert [step.text for step in steps] == STEPS
    assert labels(record) == ["right", "wrong", "after_wrong"]


def test_a_step_that_a_human_wrote_has_no_rating() -> None:
    human = {"text": "2 + 2 = 4.", "rating": None}
    record = rated(
        chosen(completion("We add.", 1)), chosen(completion("5.", -1), index=None, human=human)
    )
    assert labels(record) == ["right", None]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([True, False, True], ["right", "wrong", "after_wrong"]),
        ([True, True, True], ["right", "right", "right"]),
    ],
)
def test_the_first_false_flag_of_trl_is_the_first_wrong_step(
    flags: list[bool], expected: list[str], own: MakeConfig
) -> None:
    record = {"prompt": "2 + 2?", "completions": STEPS, "labels": flags}
    assert labels(record) == expected
    (sample,) = load_samples(own([record], cot="detailed")).samples
    assert (sample.prompt, sample.response) == ("2 + 2?", "\n\n".join(STEPS))


def test_completions_with_rewards_are_a_group_whatever_their_labels(own: MakeConfig) -> None:
    record = {"prompt": "Q", "completions": ["a", "b"], "rewards": [1, 0], "labels": [True, False]}
    samples = load_samples(own([record], correctness="group")).samples
    assert [sample.response for sample in samples] == ["a", "b"]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            {"problem": "Q?", "steps": STEPS, "label": 3},
            r"'label' .* from 0 to 2, or -1 .*number 3",
        ),
        ({"problem": "Q?", "steps": STEPS, "label": True}, r"'label' .* got true"),
        ({"problem": "Q?", "steps": [], "label": -1}, r"'steps' is an empty list"),
        ({"problem": "Q?", "steps": ["a", 2]}, r"'steps\[1\]' must be a text, got the number 2"),
        ({"steps": STEPS}, r"prompt in one of problem, prompt, question"),
        (
            {"prompt": "Q?", "completions": STEPS, "labels": [True]},
            r"'labels' must have one of true and false for each of the 3 steps .* got 1",
        ),
        (
            {"prompt": "Q?", "completions": ["a"], "labels": [1]},
            r"'labels\[0\]' must be true or false, got the number 1",
        ),
        (rated({"completions": 3}), r"'completions' of step 0 must be a list"),
        (rated(chosen(completion("a", 1), index=4)), r"'chosen_completion' of step 0"),
        (rated(chosen(completion("a", 7))), r"'rating' of step 0 must be 1, 0, -1 or null"),
        (rated(chosen({"rating": 1})), r"'steps\[0\]' must be a text, got null"),
        ({"question": {"problem": "Q?"}, "label": {"steps": 3}}, r"'label\.steps' must be a list"),
    ],
)
def test_a_wrong_form_says_what_is_wrong_where(
    record: dict[str, Any], message: str, own: MakeConfig
) -> None:
    with pytest.raises(DataError, match=rf"line 1: .*{message}"):
        load_samples(own([record]))


def test_the_response_is_the_steps_as_paragraphs_at_any_level(own: MakeConfig) -> None:
    config = own([{"problem": "2 + 2?", "steps": STEPS, "label": 1}], cot="detailed")
    (sample,) = load_samples(config).samples
    assert (sample.prompt, sample.response) == ("2 + 2?", "\n\n".join(STEPS))
    assert sample.step is None
    assert len(fingerprint(config)) == 16


def test_fields_may_have_other_names(own: MakeConfig) -> None:
    record = {"task": "2 + 2?", "parts": STEPS, "bad": 1}
    named = {"prompt": "task", "steps": "parts", "label": "bad"}
    (sample,) = load_samples(own([record], fields=named)).samples
    assert (sample.prompt, sample.response) == ("2 + 2?", "\n\n".join(STEPS))


def test_a_record_with_an_answer_beside_its_steps_stays_what_it_was(own: MakeConfig) -> None:
    record = {"question": "2 + 2?", "answer": "4", "steps": ["We add."]}
    (sample,) = load_samples(own([record])).samples
    assert sample.response == "4"
