"""Claim 1: fast thinking gives larger and more uneven gradients than slow thinking."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gradsweep.analysis.claims.finding import Claim, Expected, Statement
from gradsweep.analysis.claims.matched import Study
from gradsweep.analysis.claims.statistics import (
    early_excess,
    log_ratio_of_mads,
    log_ratio_of_means,
    log_ratio_of_relative_mads,
)
from gradsweep.analysis.claims.trials import Scope, Statistic, Trial, reasoning_scopes
from gradsweep.records import Axes


def _ratio(text: str, statistic: str, decides: bool = False) -> Statement:
    return Statement(text, statistic, Expected.ABOVE, 1.0, 1.1, ratio=True, decides=decides)


LARGER = _ratio("gradients are larger without CoT", "mean, none / detailed", decides=True)
UNEVEN = _ratio("they differ more across layers", "MAD, none / detailed", decides=True)
RELATIVE = _ratio("also relative to their size", "MAD/mean, none / detailed")
LARGER_THAN_SIMPLIFIED = _ratio("simplified CoT lies between", "mean, none / simplified")
SIMPLIFIED_LARGER = _ratio("simplified CoT lies between", "mean, simplified / detailed")
UNEVEN_THAN_SIMPLIFIED = _ratio("also across layers", "MAD, none / simplified")
SIMPLIFIED_UNEVEN = _ratio("also across layers", "MAD, simplified / detailed")
EARLY = Statement(
    "most in early layers",
    "(none - detailed) / mean of none, early - other layers",
    Expected.ABOVE,
    0.0,
    0.05,
    decides=False,
)

CLAIM = Claim(
    1,
    "Fast thinking gives larger and more uneven gradients",
    "Answers without reasoning (fast thinking) give larger gradients, and larger differences "
    "across layers, than detailed reasoning; simplified reasoning lies between, and the gap is "
    "widest in early layers.",
    "abstract; measures in section 3",
    (
        LARGER, UNEVEN, RELATIVE, LARGER_THAN_SIMPLIFIED, SIMPLIFIED_LARGER,
        UNEVEN_THAN_SIMPLIFIED, SIMPLIFIED_UNEVEN, EARLY,
    ),
)  # fmt: skip

_COMPARED = (
    (LARGER, log_ratio_of_means, "none", "detailed"),
    (UNEVEN, log_ratio_of_mads, "none", "detailed"),
    (RELATIVE, log_ratio_of_relative_mads, "none", "detailed"),
    (LARGER_THAN_SIMPLIFIED, log_ratio_of_means, "none", "simplified"),
    (SIMPLIFIED_LARGER, log_ratio_of_means, "simplified", "detailed"),
    (UNEVEN_THAN_SIMPLIFIED, log_ratio_of_mads, "none", "simplified"),
    (SIMPLIFIED_UNEVEN, log_ratio_of_mads, "simplified", "detailed"),
    (EARLY, early_excess, "none", "detailed"),
)


def scopes(study: Study) -> Iterator[Scope]:
    """Give the scopes of any objective; of correct responses where it takes single ones."""
    kind = study.responses
    for model, dataset in reasoning_scopes(study):
        trials = []
        for statement, statistic, above, below in _COMPARED:
            points = {
                cot: Axes(model, dataset, cot, kind, study.objective) for cot in (above, below)
            }
            compute: Statistic = partial(statistic, above=above, below=below)
            relative: Statistic | None = None
            if statistic is log_ratio_of_mads:
                relative = partial(log_ratio_of_relative_mads, above=above, below=below)
            trials.append(Trial(statement, compute, (points,), (above, below), relative))
        yield Scope(model, dataset, tuple(trials))
