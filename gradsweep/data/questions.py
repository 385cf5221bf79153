"""What a loader gives: the questions of a dataset at one CoT level, and their identities."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gradsweep.records import StepLabel

BETWEEN_STEPS = "\n\n"
"""What joins the steps of a response that the data have as a list."""


@dataclass(frozen=True)
class LabelledStep:
    """A step of a response as the data have it."""

    text: str
    label: StepLabel | None
    """None where the data do not say."""


@dataclass(frozen=True)
class Response:
    """What is said to a prompt at the asked CoT level."""

    text: str
    reward: float
    """1 for a correct or chosen one, 0 for an irrelevant or rejected one, or as recorded."""
    reference_log_prob: float | None = None
    """Σ_t log p of the whole text under a reference model, in nats, where the data record it."""
    steps: tuple[LabelledStep, ...] = ()
    """Of the text, where the data tell them: joined by `BETWEEN_STEPS` they are the text."""


@dataclass(frozen=True)
class Question:
    """A prompt with its correct response at the asked CoT level."""

    question_id: str
    prompt: str
    response: str
    answer: str | None
    """The bare final answer, where the data tell it."""
    reference_log_prob: float | None = None
    """Of `response`, where the data record it."""
    rejected: Response | None = None
    """The data's own response to be irrelevant; where one question of a dataset has it, all have,
    and `response` is empty where a point does without."""
    steps: tuple[LabelledStep, ...] = ()
    """Of `response`, where the data tell them."""
    group: tuple[Response, ...] = ()
    """The data's own responses with rewards, where a point takes groups and the data have them."""


@dataclass(frozen=True)
class Dataset:
    """Every question that a source has at one CoT level, in the order of the source."""

    questions: tuple[Question, ...]
    pool: tuple[Question, ...]
    """Where irrelevant responses come from. Does not depend on how many samples are asked for."""
    messages: tuple[str, ...] = ()
    """What a user must be told about the data."""
    shuffled: Mapping[str, str] | None = None
    """The paper's own irrelevant responses by question id, if they are to be used."""


def digest(*parts: str) -> str:
    """First 16 hex digits of the SHA-256 of `parts`."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def question_ids(prompts: Iterable[str]) -> list[str]:
    """An id per prompt, from its text alone; a repeated prompt is counted.

    The same file order of repeats gives the same ids, so the files of a dataset's CoT levels
    agree on them.
    """
    seen: Counter[str] = Counter()
    ids = []
    for prompt in prompts:
        repeat = seen[prompt]
        ids.append(digest(prompt, str(repeat)) if repeat else digest(prompt))
        seen[prompt] += 1
    return ids
