"""Steps of a rationale: what counts as one, and responses that keep the first of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.fuzzing import bounded
from hypothesis import given
from hypothesis import strategies as st

from gradsweep.config import Config
from gradsweep.data import load_samples
from gradsweep.data.sentences import TextRules, split_sentences
from gradsweep.data.steps import count_steps, keep_steps, split_steps
from gradsweep.data.thoughts import thoughtful

MakeConfig = Callable[..., Config]

LISTED = """To find the total, follow these steps:

1. **Count the apples**:
   - Tom has 3 bags
   - Each bag holds 4 apples

### Step 2: Multiply

We get:
\\[
3 \\times 4 = 12
\\]

Therefore, Tom has 12 apples."""

SHORT = "A mug costs 3 dollars. Two mugs cost 2 * 3 = 6 dollars.\nThe final answer is 6"


def test_a_step_is_a_sentence_or_a_line_and_headings_lead_on() -> None:
    assert [step.strip().split("\n")[0] for step in split_steps(LISTED)] == [
        "To find the total, follow these steps:",
        "- Each bag holds 4 apples",
        "### Step 2: Multiply",
        "Therefore, Tom has 12 apples.",
    ]


@pytest.mark.parametrize("text", [LISTED, SHORT, "One. ", "a\\nb\\n c", "No full stop"])
def test_steps_joined_are_the_text(text: str) -> None:
    assert "".join(split_steps(text)) == text
    assert all(step.strip() for step in split_steps(text))


def test_lines_of_code_are_no_steps_and_other_scripts_have_some() -> None:
    code = "```python\n- x. \n\n1. y\n```"
    assert split_steps(f"Write:\n{code}\n\nThen run it.") == [
        f"Write:\n{code}\n\n",
        "Then run it.",
    ]
    assert split_steps("步骤如下：\n\n先算2+3。\n\n再乘2。所以是10。") == [
        "步骤如下：\n\n先算2+3。\n\n",
        "再乘2。",
        "所以是10。",
    ]


PIECES = (
    "A b. ",
    "C! ",
    "是。",
    "`x. y`",
    "```\n",
    "\n\n",
    "- ",
    "1. ",
    "$a. b$",
    "\\n",
    "... ",
    "“D.” ",
)
PIECES += ("<think>", "</think>", "\\[", "\\]", "$", "e ", "The final answer is 7")
pieced = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12).map("".join)


@bounded
@given(text=pieced, rules=st.sampled_from(TextRules))
def test_no_text_loses_more_than_white_space(text: str, rules: TextRules) -> None:
    assert "".join(split_steps(text, rules)) in (text, "")
    sentences = "".join(split_sentences(text, rules))
    added = sentences.count(".") - text.count(".")  # AQuA's lines get the full stop they lack
    letters = [c for c in text.replace("\\n", "") if c not in ". " and not c.isspace()]
    assert added >= 0
    assert [c for c in sentences.replace("\\n", "") if c != "." and not c.isspace()] == letters


@bounded
@given(text=pieced, count=st.integers(0, 4))
def test_fewer_steps_neither_open_nor_close_another_thought(text: str, count: int) -> None:
    kept = keep_steps(thoughtful(text.replace("think>", "") or "x", "Yes. No."), count)
    assert kept.count("<think>") == kept.count("</think>") == (kept != "Yes. No.")
    assert kept.endswith("Yes. No.")


def test_a_text_without_words_has_no_steps() -> None:
    assert split_steps("") == split_steps(" \n ") == []
    assert keep_steps("", 3) == ""
    assert count_steps("") == 0


def test_without_steps_the_answer_stands_alone_in_the_form_of_its_level() -> None:
    assert keep_steps(SHORT, 0) == "The final answer is 6"
    assert keep_steps(LISTED, 0) == "Therefore, Tom has 12 apples."


def test_each_step_comes_back_with_the_white_space_it_had() -> None:
    assert keep_steps(SHORT, 1) == "A mug costs 3 dollars.\nThe final answer is 6"
    assert keep_steps(LISTED, 2) == (
        LISTED.split("\n\n### Step 2")[0] + "\n\nTherefore, Tom has 12 apples."
    )
    written = "X = 1\\nY = 2\\nZ = 3\nThe final answer is 3"
    assert keep_steps(written, 2) == "X = 1\\nY = 2\nThe final answer is 3"


@pytest.mark.parametrize("text", [LISTED, SHORT])
def test_all_steps_are_the_whole_response(text: str) -> None:
    for count in range(count_steps(text), count_steps(text) + 3):
        assert keep_steps(text, count) == text


@pytest.mark.parametrize("level", ["simplified", "detailed"])
@pytest.mark.parametrize("correctness", ["correct", "irrelevant"])
def test_more_steps_make_longer_responses_with_the_same_ending(
    level: str, correctness: str, make_config: MakeConfig
) -> None:
    whole = load_samples(make_config("arithmetic", level, correctness, n_samples=24)).samples
    shorter = None
    for steps in range(4):
        config = make_config(
            "arithmetic", level, correctness, n_samples=24, kind="partial", steps_kept=steps
        )
        loaded = load_samples(config)
        assert [s.question_id for s in loaded.samples] == [s.question_id for s in whole]
        for sample, full in zip(loaded.samples, whole, strict=True):
            if correctness == "correct":  # stitched texts may be cut otherwise a second time
                assert count_steps(sample.response) == min(steps, count_steps(full.response))
            assert sample.response.endswith(keep_steps(full.response, 0))
        lengths = [len(sample.response) for sample in loaded.samples]
        if shorter is not None:
            assert all(a >= b for a, b in zip(lengths, shorter, strict=True))
            assert sum(lengths) > sum(shorter)
        shorter = lengths


def test_no_steps_of_an_irrelevant_response_leave_its_wrong_answer(make_config: MakeConfig) -> None:
    wrong = load_samples(make_config("arithmetic", "none", "irrelevant", n_samples=24)).samples
    config = make_config(
        "arithmetic", "simplified", "irrelevant", n_samples=24, kind="partial", steps_kept=0
    )
    partial = load_samples(config).samples
    for bare, sample in zip(wrong, partial, strict=True):
        assert sample.response == f"The final answer is {bare.response}"


def test_responses_with_fewer_steps_stay_whole_and_are_counted(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    texts = ["One. Two. Three. So 3.", "One. So 1.", "So 0."]
    records = [{"prompt": f"Q{i}?", "responses": {"detailed": t}} for i, t in enumerate(texts)]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    config = make_config(
        "jsonl", "detailed", path=path, kind="partial", steps_kept=1, shuffle=False
    )
    loaded = load_samples(config)
    assert [sample.response for sample in loaded.samples] == ["One. So 3.", "One. So 1.", "So 0."]
    assert any(
        m.startswith("2 of 3 responses have no more than cot.steps_kept=1") for m in loaded.messages
    )


@pytest.mark.parametrize("level", ["simplified", "detailed"])
def test_the_last_step_of_the_papers_texts_is_short_and_states_the_answer(
    level: str, shared_root: Path, make_config: MakeConfig
) -> None:
    """What `steps_kept=0` leaves: in nine of ten texts at most 25 words, the answer in them."""
    answers, alone = (
        [s.response for s in load_samples(make_config("gsm8k", cot, root=shared_root, **f)).samples]
        for cot, f in (("none", {}), (level, {"kind": "partial", "steps_kept": 0}))
    )
    assert sum(len(text.split()) <= 25 for text in alone) > 450
    found = [a in text.replace(",", "") for a, text in zip(answers, alone, strict=True)]
    assert sum(found) > 450
