"""The text before a chat's response, by the tokenizer's own template, and what that did to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, tzinfo
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from gradsweep.config import TEMPLATE_DATE
from gradsweep.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SYSTEM_PROMPT = "You are a helpful assistant."
USER_PROBE = "Zebra 7319 & <quagga>?"
"""A user's text that no template has of its own, with what careless ones escape."""
_CLOCK = Lock()
OPEN_THOUGHT = re.compile(r"<(think|thinking|thought|reasoning)>\s*$")
DAY_FORMATS = ("%Y-%m-%d", "%d %b %Y", "%d %B %Y", "%B %d, %Y", "%b %d, %Y", "%d/%m/%Y", "%m/%d/%Y")


def chat_prefix(tokenizer: PreTrainedTokenizerBase, prompt: str, day: str = TEMPLATE_DATE) -> str:
    """Return the text before a chat's response: system and user turn, and the generation prompt.

    Args:
        tokenizer: its template, which may have no system turn (Gemma).
        prompt: the user's turn.
        day: ISO date that the template takes for today; its clock stands still at midnight.

    Raises:
        ModelError: the tokenizer has no chat template, or its template refuses a user's turn.
    """
    user = {"role": "user", "content": prompt}
    if _has_system_role(tokenizer, str(tokenizer.chat_template or ""), day):
        return _rendered(tokenizer, [{"role": "system", "content": SYSTEM_PROMPT}, user], day)
    return _rendered(tokenizer, [user], day)


def check_template(tokenizer: PreTrainedTokenizerBase, day: str = TEMPLATE_DATE) -> list[str]:
    """Return what a reader of the results should know of a template, a sentence each.

    Raises:
        ModelError: there is none, it cannot be used, it drops, changes or doubles the user's text,
            or writes the day of the run.
    """
    text = chat_prefix(tokenizer, USER_PROBE, day)
    count = text.count(USER_PROBE)
    if count != 1:
        what = "drops or changes" if count == 0 else f"writes {count} times"
        raise _unusable(tokenizer, f"it {what} the user's text {USER_PROBE!r}")
    written = set(_days(date.today())) - set(_days(date.fromisoformat(day)))
    if any(today in text for today in written):
        raise _unusable(tokenizer, "it writes the day of the run, so that results change by day")
    return list(_remarks(tokenizer, text, day))


def alteration(prompt: str, prefix: str, response: str) -> str | None:
    """Say what a template did to one sample that makes it another one; None when nothing."""
    if prompt.strip() not in prefix:
        return "the chat template drops or changes part of the prompt"
    opened = OPEN_THOUGHT.search(prefix)
    if opened and response.lstrip().startswith(f"<{opened[1]}>"):
        return (
            f"the chat template opens <{opened[1]}> and the response opens it again: use "
            "model.prompt=plain, or responses that go on from there"
        )
    return None


def _remarks(tokenizer: PreTrainedTokenizerBase, text: str, day: str) -> Iterator[str]:
    other = "2001-02-03" if day != "2001-02-03" else "2002-03-04"
    if chat_prefix(tokenizer, USER_PROBE, other) != text:
        yield f"its chat template writes a date, which is {day} in every run (model.template_date)"
    if text.rstrip().endswith(USER_PROBE):
        yield "its chat template has no generation prompt: responses follow the user's text at once"
    opened = OPEN_THOUGHT.search(text)
    if opened:
        yield (
            f"its chat template opens <{opened[1]}>: a response stands inside a thought until it "
            f"closes </{opened[1]}>"
        )


@lru_cache(maxsize=8)
def _has_system_role(tokenizer: PreTrainedTokenizerBase, template: str, day: str) -> bool:
    """Return whether the chat template takes a system turn: Gemma's raises an error on one.

    `template` is the tokenizer's, so that the answer is asked for again when it is replaced.
    """
    if not template:
        raise ModelError(
            f"model.prompt=chat needs a chat template, and the tokenizer of "
            f"{tokenizer.name_or_path or 'this model'} has none: use model.prompt=plain"
        )
    turns = [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": "Hello"}]
    try:
        return "Hello" in _rendered(tokenizer, turns, day)
    except ModelError:
        return False


def _rendered(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]], day: str) -> str:
    # Llama 3.1 and later take the date by this name; what others ask a clock for stands still.
    date_string = date.fromisoformat(day).strftime("%d %b %Y")
    try:
        with _clock_at(day):
            text = tokenizer.apply_chat_template(
                turns, add_generation_prompt=True, tokenize=False, date_string=date_string
            )
    except Exception as error:  # a template's own code may raise anything
        raise _unusable(tokenizer, str(error) or type(error).__name__) from error
    return str(text)


@contextmanager
def _clock_at(day: str) -> Iterator[None]:
    """Let `strftime_now`, which templates may call (Granite, gpt-oss), read midnight of that day.

    It is a global of every template, and cannot be given as a variable.
    """
    from transformers.utils import chat_template_utils

    templates: Any = chat_template_utils

    class Midnight(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Midnight:
            return cls.fromisoformat(day)

    with _CLOCK:
        clock = templates.datetime
        templates.datetime = Midnight
        try:
            yield
        finally:
            templates.datetime = clock


def _unusable(tokenizer: PreTrainedTokenizerBase, reason: str) -> ModelError:
    return ModelError(
        f"model.prompt=chat: the chat template of {tokenizer.name_or_path or 'this model'} "
        f"cannot be used ({reason}): use model.prompt=plain"
    )


def _days(day: date) -> list[str]:
    return [day.strftime(form) for form in DAY_FORMATS]
