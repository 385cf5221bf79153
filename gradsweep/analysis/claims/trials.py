"""What a claim's file gives for each model and dataset: points to compare, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradsweep.analysis.claims.finding import Statement
from gradsweep.analysis.claims.matched import Matched, Study
from gradsweep.analysis.rated import is_rated
from gradsweep.records import Axes

Statistic = Callable[[Matched], NDArray[np.float64]]

KNOWLEDGE_PREFIX = "wiki_"
"""Datasets of the knowledge tasks (claim 4); all others but rated ones are reasoning tasks."""


@dataclass(frozen=True)
class Trial:
    """One statement in one scope."""

    statement: Statement
    compute: Statistic
    """Matched conditions -> (1 + resamples,); the logarithm where the statement is a ratio."""
    groups: tuple[Mapping[str, Axes], ...] = ()
    """The points it needs, by the names that `compute` uses; paired within a group."""
    levels: tuple[str, str] | None = None
    """The two CoT levels that it compares, the faster first: their lengths may explain it."""
    relative: Statistic | None = None
    """The same without what scale alone explains; None where scale drops out or is the claim."""
    problem: str = ""
    """Why it cannot be tried whatever points there are; empty otherwise."""


@dataclass(frozen=True)
class Scope:
    model: str
    dataset: str
    trials: tuple[Trial, ...]


def reasoning_scopes(study: Study) -> Iterator[tuple[str, str]]:
    """Give model and dataset of the tasks that have CoT levels."""
    for model in study.models:
        for dataset in study.datasets(model):
            if not dataset.startswith(KNOWLEDGE_PREFIX) and not is_rated(dataset):
                yield model, dataset
