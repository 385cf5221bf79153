"""Whether texts become tokens as intended: prompt format, BOS, truncation, response mask.

Takes a tokenizer of transformers, and imports none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gradsweep.analysis.pairs import is_instruct
from gradsweep.config import ModelConfig, Prompt
from gradsweep.doctor.check import Check, CheckState, share
from gradsweep.models.chat import SYSTEM_PROMPT, chat_prefix, check_template
from gradsweep.records import EncodedSample, SampleResult, Step

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROMPT = "prompt format"
BOS = "BOS token"
MASK = "response mask"
SAMPLES = "samples"
TRUNCATION = "truncation"

SOME_TRUNCATED = 0.01
MANY_TRUNCATED = 0.25
MANY_BAD = 0.5
"""Shares of samples from which there is a warning, or a problem."""


def check_prompt(model: ModelConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> Check:
    """Check whether an instruct model gets its chat template; with a tokenizer, what it writes.

    Whether a model is an instruct model is told by the words of its name and source.
    """
    source = model.source
    names = [model.name, source.hub_id, source.path, *source.files]
    instruct = any(is_instruct(Path(name).name.replace(".", " ")) for name in names if name)
    if model.prompt is Prompt.plain and instruct:
        return Check(
            PROMPT,
            CheckState.WARNING,
            f"{model.name} is an instruct model and gets plain text",
            "use model.prompt=chat, unless this is the comparison that you want",
        )
    if model.prompt is Prompt.plain or tokenizer is None:
        return Check(PROMPT, CheckState.OK, f"model.prompt={model.prompt.name}")
    if SYSTEM_PROMPT in chat_prefix(tokenizer, "Hello", model.template_date):
        what = f"chat template with the system turn {SYSTEM_PROMPT!r}"
    else:
        what = "chat template without a system turn: it takes none"
    remarks = check_template(tokenizer, model.template_date)
    return Check(PROMPT, CheckState.OK, "; ".join([what, *remarks]))


def check_bos(samples: Sequence[EncodedSample], tokenizer: PreTrainedTokenizerBase) -> Check:
    """Check for exactly one BOS in front where the tokenizer puts one, at most one elsewhere."""
    bos = tokenizer.bos_token_id
    if bos is None:
        return Check(BOS, CheckState.OK, "the tokenizer has none")
    counts = Counter(_leading(sample.input_ids, bos) for sample in samples)
    doubled = sum(n for leading, n in counts.items() if leading > 1)
    if doubled:
        return Check(
            BOS,
            CheckState.PROBLEM,
            f"{share(doubled, len(samples))} samples begin with more than one "
            f"{tokenizer.bos_token}",
            "the text has one already: take it out of the prompts or of the chat template, or "
            "out of the tokenizer's post-processor",
        )
    adds = _leading(list(tokenizer("Hello")["input_ids"]), bos) > 0
    missing = counts[0]
    if adds and missing:
        return Check(
            BOS,
            CheckState.PROBLEM,
            f"{share(missing, len(samples))} samples lack {tokenizer.bos_token}, which the "
            "tokenizer puts in front of a text",
            "add {{ bos_token }} to the chat template, or use model.prompt=plain",
        )
    if adds or not missing:
        return Check(BOS, CheckState.OK, f"one {tokenizer.bos_token} in front of every sample")
    return Check(BOS, CheckState.OK, "none in front, as the tokenizer has it")


def _leading(input_ids: Sequence[int], token: int) -> int:
    """How many times the ids begin with `token`."""
    return next((i for i, found in enumerate(input_ids) if found != token), len(input_ids))


def check_outcomes(statuses: Sequence[str], reasons: Sequence[str]) -> Check:
    """Count the samples that can be measured, or were; `reasons` are those of the others."""
    bad = sum(status != "ok" for status in statuses)
    if not statuses:
        return Check(SAMPLES, CheckState.PROBLEM, "there are none", "run the point first")
    if not bad:
        return Check(SAMPLES, CheckState.OK, f"all {len(statuses)} can be measured")
    (first, count), *_ = Counter(reasons).most_common()
    finding = f"{share(bad, len(statuses))} cannot be measured; {count} of them: {first}"
    state = CheckState.PROBLEM if bad >= MANY_BAD * len(statuses) else CheckState.WARNING
    return Check(SAMPLES, state, finding, "mend or leave out these samples")


def check_truncation(n_truncated: int, n_samples: int, max_length: int) -> Check:
    """Count the samples that lose response tokens at `model.max_length`."""
    finding = f"{share(n_truncated, n_samples)} samples are longer than {max_length} tokens"
    if n_truncated <= SOME_TRUNCATED * n_samples:
        return Check(TRUNCATION, CheckState.OK, finding)
    state = CheckState.PROBLEM if n_truncated >= MANY_TRUNCATED * n_samples else CheckState.WARNING
    return Check(TRUNCATION, state, finding, "raise model.max_length")


def check_mask(samples: Sequence[EncodedSample], tokenizer: PreTrainedTokenizerBase) -> Check:
    """Check whether the tokens that carry the loss, decoded, are the response and nothing else.

    White space is not compared: tokenizers drop it at the start of what they decode. The first
    token may hold the end of the prompt too, where the tokenizer has no border between them.
    """
    wrong = [sample for sample in samples if not _covers_response(sample, tokenizer)]
    if not wrong:
        return Check(MASK, CheckState.OK, f"decodes to exactly the response in all {len(samples)}")
    sample = wrong[0]
    masked = str(tokenizer.decode(sample.input_ids[sample.response_start :]))
    return Check(
        MASK,
        CheckState.PROBLEM,
        f"{share(len(wrong), len(samples))} samples carry loss on other tokens than the "
        f"response's; sample {sample.sample.index}: {_short(masked)} for "
        f"{_short(sample.sample.response)}",
        "the tokenizer's character offsets are wrong: use the one that the model came with "
        "(tokenizer.json), and report it with the name of the model",
    )


def _covers_response(sample: EncodedSample, tokenizer: PreTrainedTokenizerBase) -> bool:
    start = sample.response_start
    masked = _squeezed(str(tokenizer.decode(sample.input_ids[start:])))
    after_first = _squeezed(str(tokenizer.decode(sample.input_ids[start + 1 :])))
    if sample.sample.step is not None:
        return _covers_step(sample, sample.sample.step, masked, tokenizer)
    response = _squeezed(_as_written(sample.sample.response, tokenizer))
    if sample.sample.same_length_as is not None:
        # Repeated or cut to another length: one of the two is the start of the other.
        longest = max(len(masked), len(response))
        response = (response * (1 + longest // max(len(response), 1)))[: len(masked)]
    elif sample.truncated:
        response = response[: len(masked)]
    if masked == response:
        return True
    # The first token begins inside the prompt: without it, what is left ends the response.
    return masked.endswith(response) and len(after_first) < len(response)


def _covers_step(
    sample: EncodedSample, step: Step, masked: str, tokenizer: PreTrainedTokenizerBase
) -> bool:
    """Whether `masked` is the step, but for what tokens on its two borders hold of both sides."""
    text = _squeezed(_as_written(sample.sample.response[step.start : step.end], tokenizer))
    before, last = (
        _squeezed(str(tokenizer.decode([sample.input_ids[place]])))
        for place in (sample.response_start - 1, -1)
    )
    for taken in range(len(before)):  # characters of the step in the token before it
        own = text[taken:]
        behind = len(masked) - len(own)  # characters of the next step in the last token
        whole = masked.startswith(own) and behind < max(len(last), 1)
        if before.endswith(text[:taken]) and (
            whole or (sample.truncated and own.startswith(masked))
        ):
            return True
    return masked == text


def _as_written(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text as this tokenizer writes it back: normalised, and with its unknown characters."""
    return str(tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]))


def _squeezed(text: str) -> str:
    """Text without white space, and without half a character at the end of a text that was cut."""
    return "".join(text.split()).rstrip("\ufffd")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 40 else f"{text[:20]} … {text[-20:]}")


def outcomes_of(
    encoded: Sequence[EncodedSample | SampleResult],
) -> tuple[list[EncodedSample], list[SampleResult]]:
    """Part samples that can be measured from those that cannot, with their reason."""
    good = [one for one in encoded if isinstance(one, EncodedSample)]
    return good, [one for one in encoded if isinstance(one, SampleResult)]
