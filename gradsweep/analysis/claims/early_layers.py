"""Claim 5: earlier layers are the most sensitive to irrelevant detailed responses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gradsweep.analysis.claims.finding import Claim, Expected, Finding, Statement
from gradsweep.analysis.claims.matched import Matched, Study
from gradsweep.analysis.claims.slow_thinking import pair
from gradsweep.analysis.claims.statistics import separation
from gradsweep.analysis.claims.trials import Scope, Trial, reasoning_scopes
from gradsweep.analysis.layers import PARTS

EARLY = Statement(
    "irrelevant detailed responses change early layers more than the others",
    "RD, early - other layers, detailed (noise removed)",
    Expected.ABOVE,
    0.0,
    0.05,
)
LARGEST = Statement(
    "and more than the middle and the late layers each",
    "RD, early - larger of middle and late layers, detailed (noise removed)",
    Expected.ABOVE,
    0.0,
    0.05,
)
IN_PARTS = {
    part: Statement(
        f"they change {part} layers",
        f"RD, {part} layers, detailed (noise removed)",
        Expected.ABOVE,
        0.0,
        0.05,
        decides=False,
    )
    for part in PARTS
}


def where_largest(findings: Sequence[Finding]) -> str:
    """Name the layers in which RD is largest in a scope; empty without an estimate."""
    values = {
        part: finding.value
        for part, statement in IN_PARTS.items()
        for finding in findings
        if finding.statistic == statement.statistic and math.isfinite(finding.value)
    }
    if len(values) < len(PARTS):
        return ""
    numbers = ", ".join(f"{part} {value:.2g}" for part, value in values.items())
    return f"RD is largest in {max(values, key=lambda part: values[part])} layers ({numbers})"


CLAIM = Claim(
    5,
    "Earlier layers react most to irrelevant detailed responses",
    "With detailed reasoning, the gradients of earlier layers change most when the response is "
    "irrelevant.",
    "results on irrelevant responses; RD and parts of the layers in section 3",
    (EARLY, LARGEST, *IN_PARTS.values()),
    where_largest,
)


def _in(matched: Matched, part: str) -> NDArray[np.float64]:
    return separation(matched, "detailed correct", "detailed irrelevant", part=part)


def _excess(matched: Matched) -> NDArray[np.float64]:
    return _in(matched, "early") - _in(matched, "rest")


def _over_the_next(matched: Matched) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # undefined where a curve is not positive
        return _in(matched, "early") - np.maximum(_in(matched, "middle"), _in(matched, "late"))


def scopes(study: Study) -> Iterator[Scope]:
    for model, dataset in reasoning_scopes(study):
        points = (pair(model, dataset, "detailed"),)
        trials = [Trial(EARLY, _excess, points), Trial(LARGEST, _over_the_next, points)]
        trials += [
            Trial(statement, partial(_in, part=part), points)
            for part, statement in IN_PARTS.items()
        ]
        yield Scope(model, dataset, tuple(trials))
