"""How many tokens a sample of a point has, prompt and response together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gradsweep.config import Config, CorrectnessConfig, CotKind, DatasetKind, Prompt
from gradsweep.data import load_samples
from gradsweep.plan.estimate.cost import Cost

CHAT_TOKENS = 20
"""Of a chat template around a sample."""
CHARACTERS_PER_TOKEN = 3
"""In the datasets of the study, which hold many numbers; 4 and more in plain English."""
UNKNOWN_TOKENS = 500
"""Where neither the option nor a file at hand tells: as long as a detailed response."""


@dataclass(frozen=True)
class Tokens:
    """Mean over samples."""

    number: float
    basis: str


def tokens_per_sample(config: Config, costs: Sequence[Cost]) -> Tokens:
    """Counted in earlier points of the dataset and level, best by the same model; else estimated.

    Without earlier points: what the dataset's option states (`dataset.tokens`), or the length of
    the user's own texts. At most `model.max_length`.
    """
    condition = (config.dataset.name, config.cot.label)
    same = [cost for cost in costs if (cost.dataset, cost.cot) == condition]
    of_model = [cost for cost in same if cost.model == config.model.name]
    if used := of_model or same:
        number = sum(cost.tokens for cost in used) / sum(cost.samples for cost in used)
        return Tokens(
            number, "counted in earlier points" if of_model else "counted with other tokenizers"
        )
    number, basis = (
        _stated(config)
        or _of_texts(config)
        or (UNKNOWN_TOKENS, f"unknown, taken as {UNKNOWN_TOKENS}")
    )
    chat = CHAT_TOKENS if config.model.prompt is Prompt.chat else 0
    return Tokens(min(number + chat, config.model.max_length), basis)


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
    # An irrelevant response is about as long as a correct one and takes longer to make.
    same_length = replace(config, correctness=CorrectnessConfig())
    samples = load_samples(same_length).samples
    characters = sum(len(s.prompt) + len(s.same_length_as or s.response) for s in samples)
    return characters / len(
        samples
    ) / CHARACTERS_PER_TOKEN, f"length of the texts, {CHARACTERS_PER_TOKEN} characters each"
