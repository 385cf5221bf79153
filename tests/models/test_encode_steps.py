"""Steps as the model reads them: every token of a response belongs to one of its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from transformers import PreTrainedTokenizerBase

from gradsweep.config import Prompt
from gradsweep.models.encode import encode
from gradsweep.records import EncodedSample, Sample, SampleResult, SampleStatus, Step

MakeTokenizer = Callable[..., PreTrainedTokenizerBase]
RESPONSE = "Tom buys 3 apples. He eats 12.\n\nSo the final answer is 15."
BORDERS = (0, 18, 30, len(RESPONSE))


def steps(response: str = RESPONSE, borders: tuple[int, ...] = BORDERS) -> list[Sample]:
    whole = Sample("id", "question", "How many apples has Tom?", response, 0)
    spans = pairwise(borders)
    return [replace(whole, step=Step(i, *span)) for i, span in enumerate(spans)]


def encoded(
    tokenizer: PreTrainedTokenizerBase, samples: list[Sample], max_length: int = 999
) -> list[EncodedSample | SampleResult]:
    return [encode(sample, tokenizer, Prompt.plain, max_length) for sample in samples]


def labels(outcome: EncodedSample | SampleResult) -> list[int]:
    assert isinstance(outcome, EncodedSample), outcome
    return outcome.input_ids[outcome.response_start :]


def whole(tokenizer: PreTrainedTokenizerBase, sample: Sample) -> EncodedSample:
    outcome = encode(replace(sample, step=None), tokenizer, Prompt.plain, 999)
    assert isinstance(outcome, EncodedSample)
    return outcome


@pytest.mark.parametrize("borders", [BORDERS, (0, 2, 9, 20, 31, len(RESPONSE))])
def test_the_tokens_of_all_steps_are_the_response_s_in_order(
    borders: tuple[int, ...], make_tokenizer: MakeTokenizer
) -> None:
    tokenizer = make_tokenizer("<s> $A")
    samples = steps(borders=borders)
    outcomes = encoded(tokenizer, samples)
    reference = whole(tokenizer, samples[0])
    assert [token for outcome in outcomes for token in labels(outcome)] == labels(reference)
    for outcome in outcomes:
        assert isinstance(outcome, EncodedSample)
        assert outcome.input_ids == reference.input_ids[: len(outcome.input_ids)]
        assert not outcome.truncated


def test_a_step_has_the_words_of_its_text_with_the_blank_before_them(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = make_tokenizer()
    texts = [tokenizer.decode(labels(outcome)) for outcome in encoded(tokenizer, steps())]
    assert texts == [RESPONSE[a:b] for a, b in pairwise(BORDERS)]


def test_a_token_of_two_steps_belongs_to_that_of_its_first_character(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = make_tokenizer()
    apples = RESPONSE.index("apples")
    first, second = encoded(tokenizer, steps(borders=(0, apples + 3, len(RESPONSE))))
    assert tokenizer.decode(labels(first)).endswith(" apples")
    assert tokenizer.decode(labels(second)).startswith(".")


def test_a_step_without_a_token_of_its_own_is_recorded(make_tokenizer: MakeTokenizer) -> None:
    apples = RESPONSE.index("apples")
    borders = (0, apples + 2, apples + 4, len(RESPONSE))
    outcomes = encoded(make_tokenizer(), steps(borders=borders))
    (rejected,) = [one for one in outcomes if isinstance(one, SampleResult)]
    assert rejected.status is SampleStatus.STEP_WITHOUT_TOKENS
    assert (rejected.step_index, rejected.question_id) == (1, "question")
    assert "step 1 'pl' has no token of its own" in rejected.reason


def test_steps_beyond_max_length_are_recorded_and_one_is_cut(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer()
    first, second, third = encoded(tokenizer, steps())
    assert isinstance(second, EncodedSample)
    cut = encoded(tokenizer, steps(), max_length=len(second.input_ids) - 1)
    assert labels(cut[0]) == labels(first)
    assert isinstance(cut[1], EncodedSample)
    assert cut[1].truncated
    assert labels(cut[1]) == labels(second)[:-1]
    assert isinstance(cut[2], SampleResult)
    assert cut[2].status is SampleStatus.STEP_BEYOND_MAX_LENGTH
    assert isinstance(third, EncodedSample)
    assert f"{len(third.input_ids)} would hold it" in cut[2].reason


def test_what_cannot_be_ablated_is_recorded_with_its_reason(make_tokenizer: MakeTokenizer) -> None:
    sample = Sample("id", "question", "Q?", "So 3.", 0, unusable="no step has a number")
    outcome = encode(sample, make_tokenizer(), Prompt.plain, 99)
    assert isinstance(outcome, SampleResult)
    assert (outcome.status, outcome.reason) == (
        SampleStatus.CANNOT_BE_ABLATED,
        "no step has a number",
    )
