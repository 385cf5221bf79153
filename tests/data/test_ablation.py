"""Ablated rationales (`cot.ablate`): what is done to the steps, and what stays."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from gradsweep.config import Ablation, Config
from gradsweep.data import load_samples
from gradsweep.data.ablation import ablated
from gradsweep.data.sentences import TextRules
from gradsweep.data.steps import split_response
from gradsweep.data.thoughts import thoughtful
from gradsweep.records import Sample

MakeConfig = Callable[..., Config]
STEPS = "Tom has 3 bags. Each holds 4 apples. So 3 * 4 = 12 apples. He eats 2 of them."
TEXT = f"{STEPS}\nThe final answer is 10"
LISTED = (
    "We count:\n\n1. Tom has 3 bags\n2. Each holds 4\n3. All are red\n\nThat is 12. So 12 apples."
)
SEEDS = range(30)


def made(text: str, ablation: Ablation, seed: int = 0) -> str:
    found = ablated(text, ablation, str(seed), TextRules.general)
    assert not found.unusable, found
    return found.text


def steps_of(text: str) -> list[str]:
    return [step.strip() for step in split_response(text).steps]


@pytest.mark.parametrize("text", [TEXT, LISTED, thoughtful(STEPS, "So 10 apples.")])
@pytest.mark.parametrize("ablation", Ablation)
def test_the_final_answer_stays_and_the_seed_decides(text: str, ablation: Ablation) -> None:
    texts = [made(text, ablation, seed) for seed in SEEDS]
    final = split_response(text).final
    assert all(re.search(rf"\s{re.escape(final.strip())}$", changed) for changed in texts)
    assert texts == [made(text, ablation, seed) for seed in SEEDS]
    assert text not in texts
    assert len(set(texts)) > 1


def test_a_step_from_the_middle_is_left_out() -> None:
    first, *inner, last = steps_of(TEXT)
    left = {tuple(steps_of(made(TEXT, Ablation.drop, seed))) for seed in SEEDS}
    assert left == {(first, inner[0], last), (first, inner[1], last)}


@pytest.mark.parametrize("text", [TEXT, thoughtful(STEPS, "So 10 apples.")])
def test_shuffled_steps_are_the_same_steps_in_another_order(text: str) -> None:
    for seed in SEEDS:
        shuffled = steps_of(made(text, Ablation.shuffle, seed))
        assert shuffled != steps_of(text)
        assert sorted(shuffled) == sorted(steps_of(text))


def test_of_two_steps_there_is_one_other_order() -> None:
    assert {made("One. Two. So 3.", Ablation.shuffle, seed) for seed in SEEDS} == {
        "Two. One. So 3."
    }


def test_items_of_a_list_stay_lines_of_their_own() -> None:
    for seed in SEEDS:
        lines = made(LISTED, Ablation.shuffle, seed).split("\n")
        assert sum(bool(re.match(r"\d\. \S", line)) for line in lines) >= 1
        assert not any(re.search(r"\S \d\. \S", line) for line in lines)


def test_one_digit_of_one_number_in_one_step_is_another() -> None:
    for seed in SEEDS:
        corrupted = made(TEXT, Ablation.corrupt, seed)
        assert len(corrupted) == len(TEXT)
        (place,) = [i for i, (a, b) in enumerate(zip(corrupted, TEXT, strict=True)) if a != b]
        assert corrupted[place].isdigit()
        assert TEXT[place].isdigit()
        assert place < len(STEPS)
    assert not any(re.search(r"\b0\d", made(TEXT, Ablation.corrupt, seed)) for seed in SEEDS)


def test_the_number_of_a_list_item_is_not_the_one_that_is_wrong() -> None:
    for seed in SEEDS:
        corrupted = made(LISTED, Ablation.corrupt, seed)
        assert re.findall(r"^(\d)\. ", corrupted, re.MULTILINE) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("text", "ablation", "why"),
    [
        ("The final answer is 3", Ablation.drop, "of the 0 steps before the final answer none"),
        ("One. So 3.", Ablation.drop, "of the 1 steps .* 2 or more are needed"),
        ("One. So 3.", Ablation.shuffle, "there is no other order"),
        ("One. One. So 3.", Ablation.shuffle, "there is no other order"),
        ("One. Two. So 3.", Ablation.corrupt, "none has a number"),
    ],
)
def test_what_cannot_be_ablated_says_why(text: str, ablation: Ablation, why: str) -> None:
    found = ablated(text, ablation, "0", TextRules.general)
    assert re.search(why, found.unusable)
    assert f"cot.ablate={ablation.name}" in found.unusable


def test_a_sample_that_cannot_be_ablated_is_told_and_keeps_its_place(own: MakeConfig) -> None:
    texts = ["One 1. Two 2. Three 3. So 3.", "So 4."]
    records = [{"prompt": f"Q{i}?", "responses": {"detailed": t}} for i, t in enumerate(texts)]
    loaded = load_samples(own(records, cot="detailed", ablate="shuffle"))
    assert [bool(sample.unusable) for sample in loaded.samples] == [False, True]
    assert any(m.startswith("cot.ablate=shuffle leaves 1 of 2 responses") for m in loaded.messages)


@pytest.mark.parametrize("ablation", [one.name for one in Ablation])
@pytest.mark.parametrize("correctness", ["correct", "irrelevant"])
def test_bundled_problems_can_all_be_ablated(
    ablation: str, correctness: str, make_config: MakeConfig
) -> None:
    def read(**fields: object) -> list[Sample]:
        config = make_config("arithmetic", "detailed", correctness, n_samples=16, **fields)
        return load_samples(config).samples

    whole, changed = read(), read(ablate=ablation)
    assert [s.question_id for s in changed] == [s.question_id for s in whole]
    assert not any(sample.unusable for sample in changed)
    assert all(a.response != b.response for a, b in zip(whole, changed, strict=True))
    assert not {s.sample_id for s in whole} & {s.sample_id for s in changed}
