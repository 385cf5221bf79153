"""Tokens that are not what was intended: BOS, prompt format, truncation, mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from transformers import PreTrainedTokenizerBase

from gradsweep.config import ModelConfig, ModelSource, Prompt, SourceKind
from gradsweep.doctor.check import Check, CheckState
from gradsweep.doctor.encoding import (
    check_bos,
    check_mask,
    check_outcomes,
    check_prompt,
    check_truncation,
)
from gradsweep.models.encode import encode
from gradsweep.records import EncodedSample, Sample, Step

MakeTokenizer = Callable[..., PreTrainedTokenizerBase]
SAMPLE = Sample("s", "q", "How many apples has Tom?", "The answer is 15.\n\nSo 15 — or ½.", 0)
CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
NO_SYSTEM = "{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}"


def encoded(
    tokenizer: PreTrainedTokenizerBase,
    prompt: Prompt = Prompt.plain,
    max_length: int = 1024,
    sample: Sample = SAMPLE,
) -> EncodedSample:
    found = encode(sample, tokenizer, prompt, max_length)
    assert isinstance(found, EncodedSample)
    return found


@pytest.mark.parametrize(
    ("around", "template", "state"),
    [
        ("$A", None, CheckState.OK),
        ("<s> $A", None, CheckState.OK),
        ("<s> $A", "{{ bos_token }}" + CHAT, CheckState.OK),
        ("<s> <s> $A", None, CheckState.PROBLEM),
        ("$A", "{{ bos_token }}{{ bos_token }}" + CHAT, CheckState.PROBLEM),
        ("<s> $A", CHAT, CheckState.PROBLEM),
    ],
    ids=["none", "one", "chat", "doubled", "doubled_by_template", "missing_in_template"],
)
def test_bos(around: str, template: str | None, state: CheckState, make_tokenizer: MakeTokenizer):
    tokenizer = make_tokenizer(around, template)
    prompt = Prompt.chat if template else Prompt.plain
    found = check_bos([encoded(tokenizer, prompt)], tokenizer)
    assert found.state is state, found
    assert bool(found.remedy) == (state is CheckState.PROBLEM)


def test_a_prompt_that_brings_its_own_bos_doubles_it(make_tokenizer: MakeTokenizer):
    tokenizer = make_tokenizer("<s> $A")
    again = replace(SAMPLE, prompt="<s>How many?")
    found = check_bos([encoded(tokenizer), encoded(tokenizer, sample=again)], tokenizer)
    assert found.state is CheckState.PROBLEM
    assert "1 of 2 (50 %)" in found.finding


def shifted(sample: EncodedSample, by: int) -> EncodedSample:
    return replace(sample, response_start=sample.response_start + by)


@pytest.mark.parametrize("around", ["$A", "<s> $A"])
@pytest.mark.parametrize("prompt", Prompt)
def test_the_mask_is_the_response(around: str, prompt: Prompt, make_tokenizer: MakeTokenizer):
    tokenizer = make_tokenizer(around, CHAT)
    right = encoded(tokenizer, prompt)
    assert check_mask([right], tokenizer).state is CheckState.OK
    for by in (-3, 1):
        found = check_mask([right, shifted(right, by)], tokenizer)
        assert found.state is CheckState.PROBLEM
        assert "1 of 2 (50 %)" in found.finding


def test_a_mask_over_a_truncated_or_repeated_response(make_tokenizer: MakeTokenizer):
    tokenizer = make_tokenizer()
    n_tokens = len(encoded(tokenizer).input_ids)
    cut = encoded(tokenizer, max_length=n_tokens - 3)
    assert cut.truncated
    long = replace(SAMPLE, response="15", same_length_as=SAMPLE.response)
    repeated = encoded(tokenizer, sample=long)
    assert check_mask([cut, repeated], tokenizer).state is CheckState.OK
    assert check_mask([shifted(cut, 1)], tokenizer).state is CheckState.PROBLEM


def test_the_mask_of_a_step_is_the_step(make_tokenizer: MakeTokenizer):
    tokenizer = make_tokenizer()
    answer, fifteen = (SAMPLE.response.index(word) for word in ("answer", "15.\n"))
    spans = ((0, fifteen - 1), (fifteen - 1, len(SAMPLE.response)), (answer + 2, fifteen + 1))
    steps = [replace(SAMPLE, step=Step(i, *span)) for i, span in enumerate(spans)]
    good = [encoded(tokenizer, sample=step) for step in steps]
    assert check_mask(good, tokenizer).state is CheckState.OK
    for by in (1, -2):  # the token before it is a line break, which is not compared
        assert check_mask([shifted(good[0], by)], tokenizer).state is CheckState.PROBLEM


def test_a_first_token_that_holds_the_end_of_the_prompt_is_the_responses(
    make_tokenizer: MakeTokenizer,
):
    tokenizer = make_tokenizer()
    blank = replace(SAMPLE, response="\n 15 apples")  # its line breaks join the prompt's
    assert check_mask([encoded(tokenizer, sample=blank)], tokenizer).state is CheckState.OK


def model(name: str, prompt: Prompt, path: str = "/models/tiny") -> ModelConfig:
    return ModelConfig(name, ModelSource(SourceKind.folder, path=path), prompt)


@pytest.mark.parametrize(
    ("config", "state"),
    [
        (model("qwen2_1.5b_instruct", Prompt.plain), CheckState.WARNING),
        (model("mine", Prompt.plain, "/models/SmolLM2-135M-Instruct"), CheckState.WARNING),
        (model("mine", Prompt.plain, "/it-department/tiny"), CheckState.OK),
        (model("qwen2_1.5b_instruct", Prompt.chat), CheckState.OK),
        (model("qwen2_1.5b", Prompt.plain), CheckState.OK),
    ],
)
def test_an_instruct_model_without_its_template(config: ModelConfig, state: CheckState):
    found = check_prompt(config)
    assert found.state is state
    assert ("model.prompt=chat" in found.remedy) == (state is CheckState.WARNING)


@pytest.mark.parametrize(("template", "words"), [(CHAT, "with the"), (NO_SYSTEM, "without a")])
def test_what_became_of_the_system_turn_is_said(
    template: str, words: str, make_tokenizer: MakeTokenizer
):
    found = check_prompt(model("x_instruct", Prompt.chat), make_tokenizer("$A", template))
    assert words in found.finding


@pytest.mark.parametrize(
    ("n", "state"),
    [(0, CheckState.OK), (1, CheckState.OK), (5, CheckState.WARNING), (60, CheckState.PROBLEM)],
)
def test_truncation(n: int, state: CheckState):
    found = check_truncation(n, 100, 1024)
    assert found.state is state
    assert f"{n} of 100" in found.finding


def outcomes(n_bad: int) -> Check:
    reasons = ["the response is empty"] * n_bad
    return check_outcomes(["ok"] * (10 - n_bad) + ["empty_response"] * n_bad, reasons)


@pytest.mark.parametrize(
    ("n_bad", "state"), [(0, CheckState.OK), (2, CheckState.WARNING), (9, CheckState.PROBLEM)]
)
def test_samples_that_cannot_be_measured(n_bad: int, state: CheckState):
    found = outcomes(n_bad)
    assert found.state is state
    assert ("the response is empty" in found.finding) == bool(n_bad)
