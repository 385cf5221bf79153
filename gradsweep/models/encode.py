"""Turns a sample into token ids and the index at which its response, and so its loss, begins.

The paper tokenises the prompt a second time and counts. That count is off by one wherever the
prompt alone is cut into other tokens than the prompt before a response (as with a blank at its
end), so the whole text is encoded once and the border is read from the character offsets: a
token belongs to the response as soon as it holds one of the response's characters.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gradsweep.config import TEMPLATE_DATE, Prompt
from gradsweep.errors import ModelError
from gradsweep.models.chat import alteration, chat_prefix
from gradsweep.records import EncodedSample, Sample, SampleResult, SampleStatus, Step

if TYPE_CHECKING:
    from transformers import BatchEncoding, PreTrainedTokenizerBase

Span = tuple[int, int]
"""(first, past the last) character of a token in its text."""


def encode(
    sample: Sample,
    tokenizer: PreTrainedTokenizerBase,
    prompt: Prompt,
    max_length: int,
    template_date: str = TEMPLATE_DATE,
) -> EncodedSample | SampleResult:
    """Encode `sample` as `prompt` says, keeping at most its first `max_length` tokens.

    `plain` is prompt, newline, response, with the special tokens that the tokenizer itself puts
    in front (BOS in Llama and Gemma). `chat` is the tokenizer's chat template with its generation
    prompt, then the response; the template brings its own special tokens. No EOS is added and
    nothing is stripped (paper section 3). With `same_length_as`, the response is repeated, a
    newline between, and cut, until it has exactly as many tokens as that text after this prompt.
    Of a step, the whole text is encoded and ends with the step's last token; a token belongs to the
    step that holds its first character, so that every token of the response is one step's.

    Returns:
        The encoded sample, with 1 <= response_start < len(input_ids) <= max_length; or, when no
        response token is left to predict, a `SampleResult` that says why.

    Raises:
        ModelError: `prompt` is chat and the tokenizer has no usable chat template.
    """
    if sample.unusable:
        return rejected(sample, SampleStatus.CANNOT_BE_ABLATED, sample.unusable)
    if not sample.response:
        return rejected(sample, SampleStatus.EMPTY_RESPONSE, "the response is empty")
    prefix = sample.prompt + "\n"
    if prompt is Prompt.chat:
        prefix = chat_prefix(tokenizer, sample.prompt, template_date)
        altered = alteration(sample.prompt, prefix, sample.response)
        if altered:
            return rejected(sample, SampleStatus.ALTERED_BY_TEMPLATE, altered)
    target = sample.same_length_as
    if target is not None and not (sample.response.strip() and target.strip()):
        reason = "the response, or the one whose length it should have, is blank"
        return rejected(sample, SampleStatus.EMPTY_RESPONSE, reason)
    add_special_tokens = prompt is Prompt.plain
    if target is None:
        input_ids, spans = _tokens(tokenizer, prefix + sample.response, add_special_tokens)
    else:
        texts = sample.response, target
        input_ids, spans = _same_length_tokens(tokenizer, prefix, texts, add_special_tokens)
    start = _response_start(spans, len(prefix))
    if sample.step is not None and start < len(input_ids):
        starts = [begin - len(prefix) for begin, _ in spans[start:]]
        return _cut_to_step(sample, sample.step, input_ids, starts, max_length)
    outcome = _cut(sample, input_ids, start, max_length)
    if isinstance(outcome, EncodedSample) and sample.step_ends and target is None:
        of_response = spans[start : len(outcome.input_ids)]
        begins = [max(begin - len(prefix), 0) for begin, _ in of_response]
        steps = tuple(bisect_right(sample.step_ends[:-1], begin) for begin in begins)
        return replace(outcome, step_of_token=steps)
    return outcome


def _cut(
    sample: Sample, input_ids: list[int], start: int, max_length: int
) -> EncodedSample | SampleResult:
    """Keep the first `max_length` tokens, if one of the response's is among them."""
    if start >= len(input_ids):
        reason = f"the response {sample.response[:40]!r} has no token that the prompt predicts"
        return rejected(sample, SampleStatus.EMPTY_RESPONSE, reason, len(input_ids))
    if start >= max_length:
        reason = (
            f"the prompt takes {start} tokens and model.max_length is {max_length}: "
            f"none of the {len(input_ids) - start} response tokens is left"
        )
        return rejected(sample, SampleStatus.PROMPT_FILLS_MAX_LENGTH, reason, start, truncated=True)
    truncated = len(input_ids) > max_length
    return EncodedSample(sample, input_ids[:max_length], start, truncated, len(input_ids))


def _cut_to_step(
    sample: Sample, step: Step, input_ids: list[int], starts: list[int], max_length: int
) -> EncodedSample | SampleResult:
    """Keep the text up to the last token of a step, at most `max_length` tokens.

    Args:
        sample: of the step.
        step: part of its response.
        input_ids: of prompt and whole response.
        starts: of each token of the response, the character of the response at which it begins;
            below 0 where it holds the end of the prompt.
        max_length: in tokens.
    """
    n_before = len(input_ids) - len(starts)
    last = len(sample.response) - 1
    of_step = [
        n_before + place
        for place, begin in enumerate(starts)
        if step.start <= min(max(begin, 0), last) < step.end
    ]
    if not of_step:
        text = sample.response[step.start : step.end].strip()
        reason = (
            f"step {step.index} {text[:40]!r} has no token of its own: the tokens before and "
            "behind it hold its characters"
        )
        return rejected(sample, SampleStatus.STEP_WITHOUT_TOKENS, reason)
    first, end = of_step[0], of_step[-1] + 1
    if first >= max_length:
        reason = (
            f"step {step.index} begins behind {first} tokens and model.max_length is {max_length}: "
            f"{end} would hold it"
        )
        status = SampleStatus.STEP_BEYOND_MAX_LENGTH
        return rejected(sample, status, reason, first, truncated=True)
    return EncodedSample(sample, input_ids[: min(end, max_length)], first, end > max_length, end)


def _tokens(
    tokenizer: PreTrainedTokenizerBase, text: str, add_special_tokens: bool
) -> tuple[list[int], list[Span]]:
    """Return the ids of `text`, and for each token the characters that it holds.

    Special tokens that the tokenizer puts behind the text (EOS, SEP) are dropped again.
    """
    encoding = token_offsets(tokenizer, text, add_special_tokens)
    length = len(encoding["input_ids"])
    while length and encoding["special_tokens_mask"][length - 1]:
        length -= 1
    return list(encoding["input_ids"][:length]), list(encoding["offset_mapping"][:length])


def token_offsets(
    tokenizer: PreTrainedTokenizerBase, text: str, add_special_tokens: bool
) -> BatchEncoding:
    """Tokenise, with character offsets and a mask of special tokens.

    Raises:
        ModelError: the tokenizer's class has no way to write a character of the text.
    """
    _keep_blanks_in_offsets(tokenizer)
    try:
        return tokenizer(
            text,
            add_special_tokens=add_special_tokens,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            verbose=False,
        )
    except Exception as error:  # tokenizers raises nothing more special
        raise ModelError(
            f"the tokenizer of {tokenizer.name_or_path or 'this model'} "
            f"({type(tokenizer).__name__}) cannot encode {text[:60]!r}: {error}"
        ) from error


def _keep_blanks_in_offsets(tokenizer: PreTrainedTokenizerBase) -> None:
    """Let a token's offsets hold the blanks that the token holds.

    Many post-processors of byte-level tokenizers (GPT-2's, Llama 3's) trim them off, and with
    them the beginning of a response that begins with blanks. Ids do not change.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    processor: Any = getattr(backend, "post_processor", None)
    parts: list[Any] = list(processor) if hasattr(processor, "__getitem__") else [processor]
    for part in parts:
        if getattr(part, "trim_offsets", False):
            part.trim_offsets = False


def _same_length_tokens(
    tokenizer: PreTrainedTokenizerBase,
    prefix: str,
    texts: tuple[str, str],
    add_special_tokens: bool,
) -> tuple[list[int], list[Span]]:
    """Tokenise the first text, repeated and cut to the length of the second, as `_tokens`."""
    response, target = texts
    _, spans = _tokens(tokenizer, prefix + target, add_special_tokens)
    n_response_tokens = len(spans) - _response_start(spans, len(prefix))
    input_ids, spans = _tokens(tokenizer, prefix + response, add_special_tokens)
    while len(spans) - _response_start(spans, len(prefix)) < n_response_tokens:
        response = f"{response}\n{response}"
        input_ids, spans = _tokens(tokenizer, prefix + response, add_special_tokens)
    end = _response_start(spans, len(prefix)) + n_response_tokens
    return input_ids[:end], spans[:end]


def _response_start(spans: list[Span], prefix_length: int) -> int:
    """Return the first token with a response character; never 0, which no logit predicts."""
    first = next((i for i, (_, end) in enumerate(spans) if end > prefix_length), len(spans))
    return max(first, 1)


def rejected(
    sample: Sample,
    status: SampleStatus,
    reason: str,
    n_prompt_tokens: int = 0,
    truncated: bool = False,
) -> SampleResult:
    """The outcome of a sample that cannot run, and why."""
    return SampleResult(
        sample_id=sample.sample_id,
        question_id=sample.question_id,
        index=sample.index,
        status=status,
        reason=reason,
        n_prompt_tokens=n_prompt_tokens,
        truncated=truncated,
        step_index=None if sample.step is None else sample.step.index,
        step_label=None if sample.step is None else sample.step.label,
    )
