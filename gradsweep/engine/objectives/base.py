"""The contract of an objective: which samples have one loss, and what that loss is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import groupby, islice
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from gradsweep.config import Responses
from gradsweep.engine.response import ResponseTokens
from gradsweep.errors import ConfigError, DataError
from gradsweep.records import Sample, Unit

_LARGE = 1000.0
"""Rewards of so many times their differences lose four of float32's seven digits."""


class Objective(ABC):
    """One loss for each unit; a subclass is named by `objective._target_` with its options.

    A gradient is that of a unit's loss, so losses of different units must not depend on each
    other. Options are the constructor's arguments; all of them are part of a point's id.
    """

    responses: ClassVar[Responses] = Responses.single
    """Which responses to a question the point loads; YAML says the same in `responses`."""
    reads_prompts: ClassVar[bool] = False
    """Whether the loss has the tokens of prompts in it; `tokens` then has them, too."""
    other_models: ClassVar[tuple[str, ...]] = ()
    """Options of `gradsweep.config.objective.OTHER_MODELS` that it can use."""
    members: bool = False
    """Whether each member of a unit gets rows of its own, and their cosines are taken."""

    def units(self, samples: Sequence[Sample]) -> list[Unit]:
        """Group a point's samples into units; each sample is one of its own unless overridden.

        The same samples always give the same units, in the same order, and every sample is in
        one of them: what a killed point has stored is found again by the units' ids.
        """
        return [Unit((sample,)) for sample in samples]

    def member_names(self, n_members: int) -> tuple[str, ...]:
        """Name the members of a unit, in their order: numbers from 1 unless overridden."""
        return tuple(str(place) for place in range(1, n_members + 1))

    @abstractmethod
    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return one scalar per unit: (units,), float32, differentiable.

        Args:
            tokens: the response tokens of a batch of whole units.
        """


class PairObjective(Objective):
    """An objective of a chosen and a rejected response to the same prompt."""

    responses = Responses.pair

    def units(self, samples: Sequence[Sample]) -> list[Unit]:
        """Return a unit for each question: chosen, then rejected."""
        return _by_question(samples)

    def member_names(self, n_members: int) -> tuple[str, ...]:
        return ("chosen", "rejected")

    def of_pairs(self, values: Float[Tensor, " rows"], tokens: ResponseTokens) -> list[Tensor]:
        """Take a value per row apart: those of the chosen and of the rejected, (units,) each.

        Raises:
            DataError: a unit has not two rows.
        """
        if set(tokens.batch.rows_of_unit) != {2}:
            raise DataError(
                f"{type(self).__name__} takes pairs, chosen before rejected; the units have "
                f"{sorted(set(tokens.batch.rows_of_unit))} rows"
            )
        return list(values.view(-1, 2).unbind(1))


class GroupObjective(Objective):
    """An objective of several responses to the same prompt, each with a reward."""

    responses = Responses.group

    def units(self, samples: Sequence[Sample]) -> list[Unit]:
        """Return a unit for each question, of all its responses in their order."""
        return _by_question(samples)


def _by_question(samples: Sequence[Sample]) -> list[Unit]:
    """A question's samples lie together and have its index."""
    return [Unit(tuple(of_one)) for _, of_one in groupby(samples, key=lambda sample: sample.index)]


def group_values(
    values: Float[Tensor, " rows"], tokens: ResponseTokens
) -> list[Float[Tensor, " members"]]:
    """Take a value per row apart by unit."""
    return list(values.split(list(tokens.batch.rows_of_unit)))


def group_rewards(tokens: ResponseTokens) -> list[Float[Tensor, " members"]]:
    """Take the rewards apart by unit, where only counts how they differ within it.

    They are float32, which rounds differences of large rewards away: from those of such a unit one
    of them is taken first.
    """
    if not tokens.batch.rewards:
        return group_values(tokens.rewards, tokens)
    given = iter(tokens.batch.rewards)
    told = [_told_apart(list(islice(given, n))) for n in tokens.batch.rows_of_unit]
    return [torch.tensor(of_unit, device=tokens.logits.device) for of_unit in told]


def _told_apart(rewards: list[float]) -> list[float]:
    known = [reward for reward in rewards if not math.isnan(reward)]
    spread = max(known, default=0.0) - min(known, default=0.0)
    if not spread * _LARGE < max(map(abs, known), default=0.0):
        return rewards
    return [reward - known[0] for reward in rewards]


def all_equal(rewards: Float[Tensor, " members"]) -> bool:
    """Whether no reward stands out, by rounding neither: one, none, or the same several times."""
    return len(rewards) < 2 or bool((rewards == rewards[0]).all())


def require_allowed(allowed: Iterable[str], **options: str) -> None:
    """Raise ConfigError where one of these options of an objective is not among `allowed`."""
    names = tuple(allowed)
    for option, value in options.items():
        if value not in names:
            raise ConfigError(f"objective.{option}={value}: allowed are {', '.join(names)}")


def require_positive(**options: float) -> None:
    """Raise ConfigError where one of these options of an objective is not above 0."""
    for name, value in options.items():
        if not value > 0:
            raise ConfigError(
                f"objective.{name}={value}: allowed are numbers above 0; at 0 no response has a "
                "gradient"
            )
