"""Where the response begins does not depend on what a tokenizer leaves out of its offsets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from gradsweep.config import Prompt
from gradsweep.doctor.check import CheckState
from gradsweep.doctor.encoding import check_mask
from gradsweep.models.encode import encode
from gradsweep.records import EncodedSample, Sample, SampleResult, SampleStatus

NEWLINE, BLANK = "Ċ", "Ġ"
MERGES = [(BLANK, BLANK), (NEWLINE, BLANK + BLANK), (BLANK, "d")]

PROCESSORS: dict[str, Callable[[bool], object]] = {
    "alone": lambda trim: processors.ByteLevel(trim_offsets=trim),
    "in a sequence": lambda trim: processors.Sequence(
        [processors.ByteLevel(trim_offsets=trim), processors.TemplateProcessing("$A")]
    ),
    "RoBERTa's": lambda trim: processors.RobertaProcessing(
        ("</s>", 0), ("<s>", 1), trim_offsets=trim, add_prefix_space=False
    ),
}


def byte_level(
    processor: object = None, normalizer: normalizers.Normalizer | None = None
) -> PreTrainedTokenizerBase:
    pieces = ["</s>", "<s>", *sorted(ByteLevel.alphabet()), *(a + b for a, b in MERGES)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    if normalizer:
        backend.normalizer = normalizer
    if processor:
        backend.post_processor = processor
    return PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False)


def encoded(tokenizer: PreTrainedTokenizerBase, prompt: str, response: str) -> EncodedSample:
    sample = Sample("s", "q", prompt, response, 0)
    outcome = encode(sample, tokenizer, Prompt.plain, 99)
    assert isinstance(outcome, EncodedSample)
    return outcome


@pytest.mark.parametrize("make", PROCESSORS.values(), ids=PROCESSORS)
@pytest.mark.parametrize("response", ["  d", "   d", "\n  d", " d", "d"])
def test_blanks_of_the_response_are_its_own(make: Callable[[bool], object], response: str) -> None:
    """The newline of the border and the blanks behind it may be one token, which is then its."""
    trimmed = encoded(byte_level(make(True)), "def f():", response)
    whole = encoded(byte_level(make(False)), "def f():", response)
    assert trimmed.response_start == whole.response_start
    tokenizer = byte_level()
    text = tokenizer.decode(trimmed.input_ids[trimmed.response_start :])
    assert text.endswith(response)
    assert text in (response, f"\n{response}")


@pytest.mark.parametrize("response", ["…done", "ﬁve", "²³", "ok"])
def test_a_tokenizer_that_normalises_is_no_alarm(response: str) -> None:
    tokenizer = byte_level(normalizer=normalizers.NFKC())
    check = check_mask([encoded(tokenizer, "Wait…", response)], tokenizer)
    assert check.state is CheckState.OK, check


def test_response_that_the_tokenizer_drops_is_recorded_as_empty() -> None:
    backend = Tokenizer(models.WordLevel({"15": 0, "?": 1}, unk_token="?"))
    backend.normalizer = normalizers.Strip()
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="?")
    assert encoded(tokenizer, "15 15", " 15 ").response_start == 2
    result = encode(Sample("s", "q", "15 15", "  ", 0), tokenizer, Prompt.plain, 99)
    assert isinstance(result, SampleResult)
    assert result.status is SampleStatus.EMPTY_RESPONSE
    assert "no token" in result.reason
    assert result.n_prompt_tokens == 2
