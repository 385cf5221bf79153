"""How many tokens a sample of a point has, prompt and response together; of a pair or group, those
of all its responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradsweep.config import Config, CotKind, DatasetKind, Prompt, Resolution, Responses
from gradsweep.config.objective import responses_of
from gradsweep.data import load_samples
from gradsweep.errors import ExcludedPointError
from gradsweep.plan.estimate.cost import Cost
from gradsweep.plan.estimate.steps import SHARE_BEFORE, has_texts_here
from gradsweep.plan.estimate.training import passes
from gradsweep.records import Sample

CHAT_TOKENS = 20
"""Of a chat template around a sample."""
CHARACTERS_PER_TOKEN = 3
"""In the datasets of the study, which hold many numbers; 4 and more in plain English."""
OF_TEXTS = f"length of the texts, {CHARACTERS_PER_TOKEN} characters each"
UNKNOWN_TOKENS = 500
"""Where neither the option nor a file at hand tells: as long as a detailed response."""


@dataclass(frozen=True)
class Tokens:
    """Mean over samples."""

    number: float
    basis: str


def tokens_per_pass(config: Config, costs: Sequence[Cost]) -> Tokens:
    """Return the mean over all samples that pass through the model: of some points, many kinds.

    A training point learns from one condition and is probed under others.
    """
    of_each = [(tokens_per_sample(at, costs), count) for at, count in passes(config)]
    total = sum(count for _, count in of_each)
    if not total:
        return of_each[0][0]
    number = sum(tokens.number * count for tokens, count in of_each) / total
    return Tokens(number, of_each[0][0].basis)


def tokens_per_sample(config: Config, costs: Sequence[Cost]) -> Tokens:
    """Counted in earlier points of the dataset and level, best by the same model; else estimated.

    Without earlier points: what the dataset's option states (`dataset.tokens`), or the length of
    the user's own texts. At most `model.max_length`.
    """
    kind = responses_of(config.objective)
    condition = (config.dataset.name, config.cot.label, kind.name, config.gradients.by.name)
    same = [c for c in costs if (c.dataset, c.cot, c.responses, c.by) == condition]
    of_model = [cost for cost in same if cost.model == config.model.name]
    if used := of_model or same:
        number = sum(cost.tokens for cost in used) / sum(cost.samples for cost in used)
        return Tokens(
            number, "counted in earlier points" if of_model else "counted with other tokenizers"
        )
    if kind is not Responses.single:
        return _of_several(config, costs)
    if config.gradients.by is Resolution.step:
        return _of_step(config, costs)
    number, basis = (
        _stated(config)
        or _of_texts(config)
        or (UNKNOWN_TOKENS, f"unknown, taken as {UNKNOWN_TOKENS}")
    )
    return Tokens(_encoded(number, config), basis)


def _encoded(number: float, config: Config) -> float:
    """Tokens of a prompt with its response as the model reads them."""
    chat = CHAT_TOKENS if config.model.prompt is Prompt.chat else 0
    return min(number + chat, config.model.max_length)


def _of_several(config: Config, costs: Sequence[Cost]) -> Tokens:
    """All responses of a pair or group; those of the user's own file have their own lengths."""
    if config.dataset.path:
        samples = load_samples(config).samples
        n_questions = len({sample.index for sample in samples})
        number = _encoded(_characters(samples) / CHARACTERS_PER_TOKEN, config)
        return Tokens(number * len(samples) / n_questions, OF_TEXTS)
    one = tokens_per_sample(config.with_one_response(), costs)
    return Tokens(2 * one.number, f"{one.basis}, for each of two responses")


def _of_step(config: Config, costs: Sequence[Cost]) -> Tokens:
    """A step runs with all that stands before it."""
    if has_texts_here(config):
        samples = load_samples(config).samples
        ends = (len(s.prompt) + (s.step.end if s.step else len(s.response)) for s in samples)
        number = sum(ends) / len(samples) / CHARACTERS_PER_TOKEN
        return Tokens(_encoded(number, config), OF_TEXTS)
    whole = tokens_per_sample(config.with_one_response(), costs)
    return Tokens(SHARE_BEFORE * whole.number, f"{whole.basis}, {SHARE_BEFORE:.0%} of it by step")


def _stated(config: Config) -> tuple[float, str] | None:
    """A level with some of its steps counts as the whole one."""
    cot = config.cot
    level = cot.match_length or (cot.level if cot.kind is not CotKind.custom else None)
    number = config.dataset.tokens.get(level.name) if level else None
    return None if number is None else (number, "as dataset.tokens says")


def _of_texts(config: Config) -> tuple[float, str] | None:
    """Of files that are surely here: a plan does not download."""
    if config.dataset.kind is DatasetKind.paper:
        longest = max(config.dataset.tokens.values(), default=None)
        return None if longest is None else (longest, "as the longest level of dataset.tokens")
    try:
        # An irrelevant response is about as long as a correct one and takes longer to make.
        samples = load_samples(config.with_one_response()).samples
    except ExcludedPointError:  # a file whose labels are all false
        samples = load_samples(config).samples
    return _characters(samples) / CHARACTERS_PER_TOKEN, OF_TEXTS


def _characters(samples: Sequence[Sample]) -> float:
    """Mean length of a prompt with its response."""
    total = sum(len(s.prompt) + len(s.same_length_as or s.response) for s in samples)
    return total / len(samples)
