"""Claim 2: gradients of slow thinking tell correct from irrelevant responses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gradsweep.analysis.claims.finding import Claim, Expected, Statement
from gradsweep.analysis.claims.matched import Matched, Study
from gradsweep.analysis.claims.statistics import (
    log_ratio_of_means,
    paired_effect_size,
    separation,
)
from gradsweep.analysis.claims.trials import Scope, Trial, reasoning_scopes
from gradsweep.analysis.rows import CORRECT, IRRELEVANT
from gradsweep.records import Axes

LARGER = Statement(
    "irrelevant responses give larger gradients with detailed CoT",
    "mean, irrelevant / correct, detailed",
    Expected.ABOVE,
    1.0,
    1.1,
    ratio=True,
)
SEPARATES = Statement(
    "detailed CoT separates them more than no CoT does",
    "RD, detailed - none (noise removed)",
    Expected.ABOVE,
    0.0,
    0.05,
)
ALIKE = Statement(
    "without CoT the two are nearly alike",
    "mean, irrelevant / correct, none",
    Expected.ALIKE,
    1.0,
    1.1,
    ratio=True,
    decides=False,
)
EFFECT = Statement(
    "question by question, with detailed CoT",
    "d_z, irrelevant - correct, detailed",
    Expected.ABOVE,
    0.0,
    0.2,
    decides=False,
)

CLAIM = Claim(
    2,
    "Slow thinking tells correct from irrelevant responses",
    "With detailed reasoning, irrelevant responses give visibly larger gradients than correct "
    "ones; without reasoning the two are nearly alike.",
    "abstract; RD in section 3",
    (LARGER, SEPARATES, ALIKE, EFFECT),
)


def _gain(matched: Matched) -> NDArray[np.float64]:
    slow = separation(matched, "detailed correct", "detailed irrelevant")
    return slow - separation(matched, "none correct", "none irrelevant")


def pair(model: str, dataset: str, cot: str) -> dict[str, Axes]:
    """Name the correct and the irrelevant point of a CoT level after level and kind."""
    kinds = (CORRECT, IRRELEVANT)
    return {f"{cot} {kind}": Axes(model, dataset, cot, kind) for kind in kinds}


_LARGER = partial(log_ratio_of_means, above="detailed irrelevant", below="detailed correct")
_ALIKE = partial(log_ratio_of_means, above="none irrelevant", below="none correct")
_EFFECT = partial(paired_effect_size, first="detailed correct", second="detailed irrelevant")


def scopes(study: Study) -> Iterator[Scope]:
    for model, dataset in reasoning_scopes(study):
        fast, slow = (pair(model, dataset, cot) for cot in ("none", "detailed"))
        trials = (
            Trial(LARGER, _LARGER, (slow,)),
            Trial(SEPARATES, _gain, (fast | slow,), ("none", "detailed")),
            Trial(ALIKE, _ALIKE, (fast,)),
            Trial(EFFECT, _EFFECT, (slow,)),
        )
        yield Scope(model, dataset, trials)
