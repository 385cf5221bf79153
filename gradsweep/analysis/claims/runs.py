"""What the files of claims about training give: statements of runs, estimated already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gradsweep.analysis.claims.estimate import MOST_UNDEFINED, Estimate
from gradsweep.analysis.claims.finding import Statement
from gradsweep.records import STUDY_OBJECTIVE
from gradsweep.store.training import TrainingTables


@dataclass(frozen=True)
class TrainingMaterial:
    """What claims about training are tested in."""

    tables: TrainingTables
    metric: str
    resamples: int
    seed: int


@dataclass(frozen=True)
class RunTrial:
    """One statement in one scope, estimated, with its controls."""

    statement: Statement
    estimate: Estimate
    point_ids: tuple[str, ...]
    under: Mapping[str, Estimate] = field(default_factory=dict)
    """By control; of statements that decide alone."""


@dataclass(frozen=True)
class RunScope:
    """Where the statements are tested: one run, or all runs of a model."""

    model: str
    series: str
    dataset: str
    trials: tuple[RunTrial, ...]
    objective: str = STUDY_OBJECTIVE


def defined(estimate: Estimate, undefined_because: str) -> Estimate:
    """Pass on an estimate whose statistic is defined; one that is not has that as its problem."""
    assert estimate.resampled is not None
    finite = np.isfinite(estimate.resampled)
    # A resample of few cases may well draw none that differ.
    often = 1 - float(finite.mean()) > MOST_UNDEFINED and not estimate.withheld
    if finite[0] and not often:
        return estimate
    counts = estimate.n_questions, estimate.n_left_out
    return Estimate(estimate.resampled, *counts, problem=undefined_because)
