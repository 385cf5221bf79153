"""Samples of pairs and groups of the study's data, and what was recorded of a reference."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.several_responses import units

from gradsweep import compose
from gradsweep.config import Config
from gradsweep.data import load_samples

MakeConfig = Callable[..., Config]
OwnConfig = Callable[..., Config]


@pytest.mark.parametrize(
    "condition",
    [
        ("cot=none",),
        ("cot=detailed",),
        ("cot=partial", "cot.steps_kept=2"),
        ("cot=none", "cot.match_length=detailed"),
    ],
    ids=str,
)
@pytest.mark.parametrize("objective", ["dpo", "grpo"])
def test_a_pair_is_the_two_single_samples_of_its_question(
    condition: tuple[str, ...], objective: str
) -> None:
    given = (*condition, "n_samples=4", "dataset.size=30")
    both = units(load_samples(compose(f"objective={objective}", *given)))
    correct = load_samples(compose("correctness=correct", *given)).samples
    irrelevant = load_samples(compose("correctness=irrelevant", *given)).samples
    assert both == [list(pair) for pair in zip(correct, irrelevant, strict=True)]
    assert [[sample.reward for sample in pair] for pair in both] == [[1.0, 0.0]] * 4


def test_n_samples_counts_questions_and_smaller_ones_are_a_part() -> None:
    few, more = (
        load_samples(compose("objective=simpo", "dataset.size=20", f"n_samples={n}"))
        for n in (3, 7)
    )
    assert (len(units(few)), len(few.samples)) == (3, 6)
    assert more.samples[:6] == few.samples
    assert not more.messages


def test_pairs_of_own_responses_to_the_questions_of_a_dataset(tmp_path: Path) -> None:
    questions = load_samples(compose("n_samples=6", "dataset.size=20")).samples
    path = tmp_path / "mine.jsonl"
    said = [
        {"prompt": q.prompt, "response": f"First {i}. Then {i}."} for i, q in enumerate(questions)
    ]
    path.write_text("\n".join(map(json.dumps, said)), encoding="utf-8")
    given = ("cot=custom", f"cot.path={path}", "dataset.size=20", "cot.match_length=none")
    pairs = units(load_samples(compose("objective=dpo", "n_samples=6", *given)))
    assert {chosen.response for chosen, _ in pairs} == {record["response"] for record in said}
    for chosen, rejected in pairs:
        assert not set(chosen.response.split(". ")) & set(rejected.response.split(". "))
        assert chosen.same_length_as != rejected.same_length_as


def test_a_recorded_reference_is_of_the_whole_text_alone(own: OwnConfig) -> None:
    recorded = {"ref_chosen_logps": -3.0, "ref_rejected_logps": -4.0}
    records = [
        {"prompt": "2+2?", "chosen": "<think>\nHm.\n</think>\n\n4", "rejected": "5"} | recorded
    ]

    def references(cot: str, **fields: object) -> list[float | None]:
        loaded = load_samples(own(records, "pair", cot, **fields))
        return [sample.reference_log_prob for sample in loaded.samples]

    assert references("detailed") == [-3.0, -4.0]
    assert references("none") == [None, -4.0], "of thought and answer, not of the answer"
    for cut in ({"kind": "partial", "steps_kept": 1}, {"match_length": "none"}):
        assert references("detailed", **cut) == [None, None]
        messages = load_samples(own(records, "pair", "detailed", **cut)).messages
        assert any("reference log-probabilities are of whole responses" in m for m in messages)


def test_references_of_every_form_reach_their_response(own: OwnConfig) -> None:
    single = {"prompt": "Q", "completion": "A", "ref_logps": -1.5}
    levels = {"prompt": "R", "responses": {"none": "A", "detailed": "B. A."}} | {
        "ref_logps": {"none": -1.0, "detailed": -2.0}
    }
    group = {"prompt": "S", "responses": ["a", "b"], "rewards": [1, 0], "ref_logps": [-1, -2]}
    for records, condition, expected in (
        ([single, levels], ("correct", "none"), [-1.5, -1.0]),
        ([single, levels], ("correct", "detailed"), [-1.5, -2.0]),
        ([group], ("group",), [-1.0, -2.0]),
    ):
        samples = load_samples(own(records, *condition)).samples
        assert [sample.reference_log_prob for sample in samples] == expected
    some = [single, {"prompt": "T", "completion": "B"}]
    assert not any("reference" in told for told in load_samples(own(some)).messages), "sft has none"
    assert load_samples(own(some, objective="kto")).messages[-1] == (
        "1 of 2 questions have no recorded reference log-probabilities"
    )
