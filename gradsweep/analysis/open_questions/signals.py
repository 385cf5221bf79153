"""Signals of correct and irrelevant responses to the same questions, at a level of CoT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.open_questions.detectors import right, without
from gradsweep.analysis.open_questions.material import (
    SIGNALS,
    QuestionMaterial,
    metric_words,
    scopes_of,
)
from gradsweep.analysis.open_questions.question import Scope
from gradsweep.analysis.reduction import SCALED
from gradsweep.analysis.rows import CORRECT, IRRELEVANT
from gradsweep.config import cot_reading_key, is_reasoning_level

Floats = NDArray[np.float64]

LOSS = "loss"
LENGTH = "tokens"
FEW = (LOSS, "nuclear_norm", *(name for name in SIGNALS if name not in SCALED))
"""Signals that differ most: norms go with each other. Of these sentences and plots are."""
NOT_OF_GRADIENTS = {LOSS: "loss", LENGTH: "response tokens"}
"""Signals that need no backward pass."""


def words_of(signal: str) -> str:
    """Name a signal with its direction: `nuclear norm larger`, `stable rank smaller`."""
    name = NOT_OF_GRADIENTS.get(signal) or metric_words(signal)
    return f"{name} {SIGNALS.get(signal, 'larger')}"


@dataclass(frozen=True)
class Level:
    """Signals of a level's questions, turned so that the larger of two is taken for irrelevant."""

    scope: Scope
    cot: str
    question_ids: tuple[str, ...]
    signals: Mapping[str, tuple[Floats, Floats]]
    """Of correct and of irrelevant responses, (questions,) each; logarithms."""
    weights: Floats
    """(1 + resamples, questions)"""

    @property
    def n_questions(self) -> int:
        return len(self.question_ids)

    def scores(self, signal: str) -> Floats:
        """Score each question by `right`, (questions,)."""
        return right(*self.signals[signal])

    def left_of(self, signal: str, *, ranked: bool = False) -> tuple[Floats, Floats] | None:
        """Give what loss and length do not explain of a signal; None of these two themselves, and
        with too few questions.

        Args:
            signal: one of `signals`.
            ranked: all three as ranks over the responses of both kinds, so that any monotone
                relation is a line.
        """
        if signal in NOT_OF_GRADIENTS:
            return None
        own, *others = (
            _ranks(self.signals[name]) if ranked else self.signals[name]
            for name in (signal, LOSS, LENGTH)
        )
        return without(own, others)


def _ranks(signal: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    ranks = pl.Series(np.concatenate(signal)).rank("average").to_numpy()
    n = len(signal[0])
    return ranks[:n], ranks[n:]


def levels_of(material: QuestionMaterial) -> Iterator[Level]:
    """Pair the responses of every level that has both kinds, from fast to slow thinking."""
    for scope, lines in scopes_of(material.summary.by_question):
        levels = sorted(filter(is_reasoning_level, lines["cot"].unique()), key=cot_reading_key)
        for cot in levels:
            level = _level(scope, cot, lines.filter(cot=cot), material)
            if level is not None:
                yield level


def _level(scope: Scope, cot: str, lines: pl.DataFrame, material: QuestionMaterial) -> Level | None:
    names = [name for name in (LOSS, LENGTH, *SIGNALS) if name in lines.columns]
    logged = lines.with_columns(pl.col(LOSS, LENGTH).log())
    of_kind = {
        kind: logged.filter(correctness=kind).select("question_id", *names).sort("question_id")
        for kind in (CORRECT, IRRELEVANT)
    }
    both = of_kind[CORRECT].join(of_kind[IRRELEVANT], on="question_id", suffix=" of irrelevant")
    values = [name for name in both.columns if name != "question_id"]
    both = both.filter(pl.all_horizontal(pl.col(values).is_finite())).sort("question_id")
    if both.is_empty():
        return None
    ids = tuple(both["question_id"])
    return Level(
        scope,
        cot,
        ids,
        {name: _turned(both, name) for name in names},
        material.weights(ids),
    )


def _turned(both: pl.DataFrame, name: str) -> tuple[Floats, Floats]:
    sign = -1.0 if SIGNALS.get(name) == "smaller" else 1.0
    return sign * both[name].to_numpy(), sign * both[f"{name} of irrelevant"].to_numpy()


def slowest(levels: Sequence[Level]) -> list[Level]:
    """Choose the level of slowest thinking in every scope."""
    return list({level.scope: level for level in levels}.values())
