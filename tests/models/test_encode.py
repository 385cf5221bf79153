"""Encoding: which tokens the loss falls on, under every kind of tokenizer and border."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest
from helpers.places import RELEASE
from transformers import PreTrainedTokenizerBase

from gradsweep.config import Prompt
from gradsweep.models.chat import SYSTEM_PROMPT, chat_prefix
from gradsweep.models.encode import encode
from gradsweep.records import EncodedSample, Sample, SampleResult, SampleStatus

MakeTokenizer = Callable[..., PreTrainedTokenizerBase]
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
NO_LIMIT = 10**6


def sample(prompt: str, response: str) -> Sample:
    return Sample("id", "question", prompt, response, index=7)


def encoded(
    tokenizer: PreTrainedTokenizerBase,
    text: tuple[str, str],
    prompt: Prompt = Prompt.plain,
    max_length: int = NO_LIMIT,
) -> EncodedSample:
    result = encode(sample(*text), tokenizer, prompt, max_length)
    assert isinstance(result, EncodedSample), result
    return result


def rejected(
    tokenizer: PreTrainedTokenizerBase,
    text: tuple[str, str],
    prompt: Prompt = Prompt.plain,
    max_length: int = NO_LIMIT,
) -> SampleResult:
    result = encode(sample(*text), tokenizer, prompt, max_length)
    assert isinstance(result, SampleResult), result
    return result


def random_texts(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Prompts and responses with digits, blanks, newlines, accents and emoji at the border."""
    rng = random.Random(seed)
    alphabet = [
        "apples",
        "answer",
        " is",
        " ",
        "  ",
        "\n",
        "\n\n",
        "15",
        "é",
        "😀",
        "日本",
        ".",
        "\t",
    ]

    def text(least: int) -> str:
        return "".join(rng.choices(alphabet, k=rng.randint(least, 8)))

    return [(text(0), text(1)) for _ in range(count)]


# --- where the response starts


@pytest.mark.parametrize("prompt", list(Prompt))
@pytest.mark.parametrize("around", ["$A", "<s> $A"])
def test_tokens_split_into_prefix_and_response(
    make_tokenizer: MakeTokenizer, prompt: Prompt, around: str
) -> None:
    """No token spans the border here, so that both sides decode to their own text."""
    tokenizer = make_tokenizer(around, CHAT_TEMPLATE)
    bos = "<s>" if prompt is Prompt.plain and around.startswith("<s>") else ""
    for text in random_texts(200):
        blanks = text[1][: len(text[1]) - len(text[1].lstrip())]
        if "\n" in blanks or blanks == text[1]:
            continue  # may merge with the newline of the border: the next tests
        result = encoded(tokenizer, text, prompt)
        prefix = text[0] + "\n" if prompt is Prompt.plain else chat_prefix(tokenizer, text[0])
        start = result.response_start
        assert tokenizer.decode(result.input_ids[:start]) == bos + prefix
        assert tokenizer.decode(result.input_ids[start:]) == text[1]
        assert not result.truncated


def test_token_across_the_border_belongs_to_the_response(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer()
    merged = tokenizer("\n\n", add_special_tokens=False)["input_ids"]
    assert len(merged) == 1, "the test needs a tokenizer that merges two newlines"
    result = encoded(tokenizer, ("answer", "\n15"))
    assert result.input_ids[result.response_start] == merged[0]


def test_first_token_is_never_a_label(make_tokenizer: MakeTokenizer) -> None:
    """Position 0 has no prediction: with an empty prompt its token is lost to the loss."""
    result = encoded(make_tokenizer(), ("", "\n15"))
    assert result.response_start == 1
    lone = rejected(make_tokenizer(), ("", "\n"))
    assert lone.status is SampleStatus.EMPTY_RESPONSE
    assert "no token" in lone.reason


def test_characters_of_several_tokens_start_with_their_first_byte(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = make_tokenizer()
    result = encoded(tokenizer, ("15", "😀"))
    assert result.n_response_tokens == 4
    assert tokenizer.decode(result.input_ids[result.response_start :]) == "😀"


def test_white_response_has_tokens_and_is_kept(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer()
    result = encoded(tokenizer, ("answer", "  "))
    assert tokenizer.decode(result.input_ids).endswith("\n  ")
    assert result.n_response_tokens >= 1


# --- special tokens


def test_bos_is_the_tokenizers_own_and_no_eos_follows(make_tokenizer: MakeTokenizer) -> None:
    text = ("answer", "15")
    bare = encoded(make_tokenizer(), text)
    both = encoded(make_tokenizer("<s> $A </s>"), text)
    assert both.input_ids == [0, *bare.input_ids]
    assert both.response_start == bare.response_start + 1


def test_eos_that_the_response_itself_writes_stays(make_tokenizer: MakeTokenizer) -> None:
    result = encoded(make_tokenizer("$A </s>"), ("answer", "15</s>"))
    assert result.input_ids[-1] == 1
    assert result.input_ids.count(1) == 1


def test_chat_leaves_special_tokens_to_the_template(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("<s> $A", CHAT_TEMPLATE)
    result = encoded(tokenizer, (" answer ", "15"), Prompt.chat)
    assert tokenizer.decode(result.input_ids) == (
        f"<|system|>{SYSTEM_PROMPT}</s>\n<|user|> answer </s>\n<|assistant|>15"
    )


# --- truncation and samples without a loss


def test_truncation_cuts_the_response_on_the_right(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("<s> $A")
    for text in random_texts(20, seed=1):
        whole = encoded(tokenizer, text)
        for length in range(whole.response_start + 1, len(whole.input_ids) + 2):
            cut = encoded(tokenizer, text, max_length=length)
            assert cut.input_ids == whole.input_ids[:length]
            assert cut.response_start == whole.response_start
            assert cut.truncated == (length < len(whole.input_ids))
            assert cut.n_response_tokens >= 1


def test_prompt_that_fills_max_length_says_so_with_numbers(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer()
    whole = encoded(tokenizer, ("How many apples has Tom?", "15 apples"))
    limit = whole.response_start
    result = rejected(tokenizer, ("How many apples has Tom?", "15 apples"), max_length=limit)
    assert result.status is SampleStatus.PROMPT_FILLS_MAX_LENGTH
    assert f"takes {limit} tokens and model.max_length is {limit}" in result.reason
    assert f"{whole.n_response_tokens} response tokens" in result.reason
    assert (result.n_prompt_tokens, result.n_response_tokens) == (limit, 0)
    assert result.truncated


def test_empty_response_is_recorded_with_the_samples_identity(
    make_tokenizer: MakeTokenizer,
) -> None:
    result = rejected(make_tokenizer(), ("answer", ""))
    assert result.status is SampleStatus.EMPTY_RESPONSE
    assert result.reason
    assert (result.sample_id, result.question_id, result.index) == ("id", "question", 7)


# --- the real tokenizer


def test_chat_of_the_default_model(smollm2_tokenizer: PreTrainedTokenizerBase) -> None:
    result = encoded(smollm2_tokenizer, ("How many?", "15"), Prompt.chat)
    assert smollm2_tokenizer.decode(result.input_ids) == (
        f"<|im_start|>system\n{SYSTEM_PROMPT}<|im_end|>\n<|im_start|>user\nHow many?<|im_end|>\n"
        "<|im_start|>assistant\n15"
    )
    assert smollm2_tokenizer.decode(result.input_ids[result.response_start :]) == "15"


# --- against the paper's own count: the tokens of the separately encoded prefix

DATASETS = (
    "cot_500/gsm8k_train_no_cot.json",
    "cot_500/gsm8k_train_with_cot_gpt4o.json",
    "cot_500/aqua_train_with_cot.json",
    "cot_500/strategyqa_train_no_cot.json",
    "wiki_popularity/popular_wikipedia_100.json",
)


@pytest.mark.parametrize("prompt", list(Prompt))
@pytest.mark.parametrize("name", DATASETS)
def test_agrees_with_the_papers_count_where_that_is_right(
    smollm2_tokenizer: PreTrainedTokenizerBase, name: str, prompt: Prompt
) -> None:
    """It is wrong where the prompt ends in a blank: alone, the blank and the newline after it
    are one token; before a response they are two, so the paper's labels begin one too early."""
    if not RELEASE.is_dir():
        pytest.skip("needs ../shared/data/layer_gradient")
    tokenizer = smollm2_tokenizer
    for record in json.loads((RELEASE / name).read_text())[:150]:
        text = (record["instruction"], record["output"])
        result = encoded(tokenizer, text, prompt)
        prefix = text[0] + "\n" if prompt is Prompt.plain else chat_prefix(tokenizer, text[0])
        count = len(tokenizer(prefix, add_special_tokens=prompt is Prompt.plain)["input_ids"])
        blank_at_end = prompt is Prompt.plain and text[0].endswith(" ")
        assert result.response_start == count + blank_at_end
        assert tokenizer.decode(result.input_ids[result.response_start :]) == text[1]


# --- responses of another one's length


@pytest.mark.parametrize("prompt", Prompt)
def test_a_response_gets_exactly_as_many_tokens_as_the_other_text(
    prompt: Prompt, make_tokenizer: MakeTokenizer
) -> None:
    tokenizer = make_tokenizer("<s> $A", CHAT_TEMPLATE)
    texts = [(p, r) for p, r in random_texts(150) if r.strip()]
    for (question, response), (_, other) in zip(texts, texts[::-1], strict=True):
        matched = encode(
            Sample("id", "q", question, response, 0, same_length_as=other),
            tokenizer,
            prompt,
            NO_LIMIT,
        )
        assert isinstance(matched, EncodedSample)
        target = encoded(tokenizer, (question, other), prompt)
        assert not matched.truncated
        assert matched.n_response_tokens == target.n_response_tokens


def test_a_short_response_is_repeated_on_lines_and_a_long_one_cut(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = make_tokenizer()
    long = "So Tom has 15 apples. " * 9

    def matched(response: str, other: str) -> str:
        sample = Sample("id", "q", "How many?", response, 0, same_length_as=other)
        result = encode(sample, tokenizer, Prompt.plain, NO_LIMIT)
        assert isinstance(result, EncodedSample)
        return tokenizer.decode(result.input_ids[result.response_start :])

    assert ("15\n" * 200).startswith(matched("15", long))
    assert len(matched("15", long)) > 30
    assert long.startswith(matched(long, "15"))
    assert matched(long, long) == long


def test_max_length_cuts_a_matched_response_as_any_other(make_tokenizer: MakeTokenizer) -> None:
    sample = Sample("id", "q", "How many?", "15", 0, same_length_as="apples " * 90)
    result = encode(sample, make_tokenizer(), Prompt.plain, 40)
    assert isinstance(result, EncodedSample)
    assert len(result.input_ids) == 40
    assert result.truncated


@pytest.mark.parametrize(("response", "other"), [(" \n", "15"), ("15", ""), ("15", " ")])
def test_a_blank_text_has_no_length_to_match(
    response: str, other: str, make_tokenizer: MakeTokenizer
) -> None:
    sample = Sample("id", "q", "How many?", response, 0, same_length_as=other)
    result = encode(sample, make_tokenizer(), Prompt.plain, NO_LIMIT)
    assert isinstance(result, SampleResult)
    assert result.status is SampleStatus.EMPTY_RESPONSE
