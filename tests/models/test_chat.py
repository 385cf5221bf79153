"""A chat template gives the same text every day, and the user's text whole, or says why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from transformers import PreTrainedTokenizerBase

from gradsweep import compose
from gradsweep.config import ModelConfig, ModelSource, Prompt
from gradsweep.errors import ConfigError, ModelError
from gradsweep.identity import point_id
from gradsweep.models.chat import chat_prefix, check_template
from gradsweep.models.encode import encode
from gradsweep.records import EncodedSample, Sample, SampleResult, SampleStatus

MakeTokenizer = Callable[..., PreTrainedTokenizerBase]
TURNS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}</s>\n{% endfor %}"
GENERATION = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
TEMPLATE = TURNS + GENERATION


def encoded(
    tokenizer: PreTrainedTokenizerBase, prompt: str, response: str
) -> EncodedSample | SampleResult:
    return encode(Sample("id", "question", prompt, response, 0), tokenizer, Prompt.chat, 999)


# --- the clock


@pytest.mark.parametrize(
    ("dated", "expected"),
    [
        (  # Llama 3.2 and 3.3
            "{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}"
            "{% endif %}{{ date_string }} ",
            "26 Jul 2024 ",
        ),
        ("{{ strftime_now('%B %d, %Y') }} ", "July 26, 2024 "),  # Granite
        ("{{ strftime_now('%Y-%m-%d') }} ", "2024-07-26 "),  # gpt-oss, Mistral Small
        ("{{ strftime_now('%H:%M:%S') }} ", "00:00:00 "),
    ],
)
def test_time_stands_still(dated: str, expected: str, make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer(chat_template=dated + TEMPLATE)
    assert chat_prefix(tokenizer, "answer").startswith(expected)
    assert not chat_prefix(tokenizer, "answer", "2025-12-01").startswith("26 Jul")


def test_a_reader_is_told_which_date_a_template_writes(make_tokenizer: MakeTokenizer) -> None:
    dated = make_tokenizer(chat_template="{{ strftime_now('%d.%m.') }}" + TEMPLATE)
    (remark,) = check_template(dated, "2025-12-01")
    assert "2025-12-01 in every run (model.template_date)" in remark
    assert check_template(make_tokenizer(chat_template=TEMPLATE)) == []


def test_a_template_that_knows_the_day_by_itself_is_refused(make_tokenizer: MakeTokenizer) -> None:
    """As a tokenizer with code of its own may."""
    tokenizer = make_tokenizer(chat_template=f"{date.today():%d %B %Y} " + TEMPLATE)
    with pytest.raises(ModelError, match="writes the day of the run"):
        check_template(tokenizer)


def test_another_date_is_another_point_where_a_template_is_used() -> None:
    def identity(*overrides: str) -> str:
        return point_id(compose("model=smollm2_135m_instruct", "tracking=none", *overrides))

    assert identity("model.template_date=2025-12-01") != identity()
    plain = compose("tracking=none", "model.prompt=plain")
    another_day = replace(plain.model, template_date="2025-12-01")
    assert point_id(replace(plain, model=another_day)) == point_id(plain)


def test_what_is_no_date_is_one_error() -> None:
    with pytest.raises(ConfigError, match=r"model\.template_date must be a date as 2024-07-26"):
        ModelConfig("m", ModelSource(hub_id="a/b"), template_date="yesterday")


# --- the user's text


def test_a_system_turn_is_left_out_where_the_template_refuses_it(
    make_tokenizer: MakeTokenizer,
) -> None:
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    tokenizer = make_tokenizer(chat_template=refusing + TEMPLATE)
    assert chat_prefix(tokenizer, "answer") == "<|user|>answer</s>\n<|assistant|>"


@pytest.mark.parametrize(
    "template",
    [
        None,
        "{{ raise_exception('nothing suits me') }}",
        "{{ messages[0].content.parts.text }}",  # wants a list of parts
        "{{ 1 / 0 }}",
        "{% for m in messages %}",
    ],
)
def test_without_a_usable_template_plain_is_offered(
    template: str | None, make_tokenizer: MakeTokenizer
) -> None:
    with pytest.raises(ModelError, match=r"model\.prompt=plain"):
        encoded(make_tokenizer(chat_template=template), "answer", "15")


@pytest.mark.parametrize(
    ("template", "what"),
    [
        ("{% for m in messages %}<|{{ m.role }}|>{% endfor %}" + GENERATION, "drops or changes"),
        (TEMPLATE.replace("m.content", "m.content | upper"), "drops or changes"),
        (TEMPLATE.replace("m.content", "m.content | e"), "drops or changes"),
        (TURNS + "{{ messages[-1].content }}" + GENERATION, "writes 2 times"),
    ],
)
def test_a_template_that_changes_the_text_is_refused(
    template: str, what: str, make_tokenizer: MakeTokenizer
) -> None:
    with pytest.raises(ModelError, match=what):
        check_template(make_tokenizer(chat_template=template))


def test_a_blank_around_the_text_may_go(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer(chat_template=TEMPLATE.replace("m.content", "m.content | trim"))
    assert check_template(tokenizer) == []
    assert isinstance(encoded(tokenizer, " 2+2? ", "4"), EncodedSample)


def test_a_prompt_that_only_some_templates_change_is_a_reason(
    make_tokenizer: MakeTokenizer,
) -> None:
    """DeepSeek's cuts a text at </think>."""
    cutting = TEMPLATE.replace("m.content", "m.content.split('</think>')[-1]")
    tokenizer = make_tokenizer(chat_template=cutting)
    assert check_template(tokenizer) == []
    outcome = encoded(tokenizer, "What does </think> mean?", "The end.")
    assert isinstance(outcome, SampleResult)
    assert outcome.status is SampleStatus.ALTERED_BY_TEMPLATE
    assert "drops or changes part of the prompt" in outcome.reason


# --- thoughts and generation prompts


def test_a_thought_is_not_opened_twice(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer(chat_template=TEMPLATE + "<think>\n")
    (remark,) = check_template(tokenizer)
    assert "opens <think>: a response stands inside a thought" in remark
    twice = encoded(tokenizer, "2+2?", "<think>\nTwo and two.</think>4")
    assert isinstance(twice, SampleResult)
    assert "the response opens it again" in twice.reason
    assert isinstance(encoded(tokenizer, "2+2?", "Two and two.</think>4"), EncodedSample)


def test_a_template_without_a_generation_prompt_is_noted(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer(chat_template="{% for m in messages %}{{ m.content }}\n{% endfor %}")
    (remark,) = check_template(tokenizer)
    assert "no generation prompt" in remark
