"""How many samples a point has, and responses one of them; how many steps (`gradients.by=step`),
and how far into a text."""

from __future__ import annotations

from collections import Counter

from gradsweep.config import Config, CotKind, CotLevel, DatasetKind, Resolution, Responses
from gradsweep.config.objective import responses_of
from gradsweep.data import count_questions, load_samples
from gradsweep.errors import DataError, ExcludedPointError

TOKENS_PER_STEP = 35
"""Of the paper's samples with a rationale, the prompt's tokens shared out among the steps: 16 to 59
in GSM8K, AQuA, StrategyQA and MATH algebra."""
SHARE_BEFORE = 0.65
"""Share of a sample's tokens that a step has up to its end, in the mean over its steps: the prompt
stands before all of them."""


def has_texts_here(config: Config) -> bool:
    """Whether the data are surely on this machine: a plan does not download."""
    return config.dataset.kind is not DatasetKind.paper


def samples_of(config: Config) -> int:
    """Count the samples of a point: as many as it asks for, or all that the user's file has.

    A pair or group counts as one. Other data are as many as their options say, or not here.
    """
    if not config.dataset.path:
        return config.requested_samples
    return min(config.requested_samples, count_questions(config))


def most_responses(config: Config) -> int:
    """Count the responses of the largest sample, which are in memory together.

    Two of a pair, and of a group (one correct, one irrelevant) unless the user's file has others;
    a file that cannot be read is reported when the point is measured, and counts as two here.
    """
    responses = responses_of(config.objective)
    if responses is Responses.single:
        return 1
    if responses is Responses.pair or not config.dataset.path:
        return 2
    try:
        samples = load_samples(config).samples
    except (DataError, ExcludedPointError):
        return 2
    return max(Counter(sample.index for sample in samples).values())


def steps_of(config: Config) -> int | None:
    """Count the steps of all responses of a point; None where whole samples are measured."""
    if config.gradients.by is not Resolution.step:
        return None
    if has_texts_here(config):
        return len(load_samples(config).samples)
    cot = config.cot
    level = CotLevel.detailed if cot.kind is CotKind.custom else cot.level
    if level is CotLevel.none:
        return config.requested_samples
    stated = config.dataset.tokens.get(level.name, 0)
    return config.requested_samples * max(1, round(stated / TOKENS_PER_STEP))
