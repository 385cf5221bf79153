"""Claim 5: earlier layers are the most sensitive to irrelevant detailed responses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradsweep.analysis.claims.finding import Claim, Expected, Statement
from gradsweep.analysis.claims.matched import Matched, Study
from gradsweep.analysis.claims.slow_thinking import pair
from gradsweep.analysis.claims.statistics import separation
from gradsweep.analysis.claims.trials import Scope, Trial, reasoning_scopes

EARLY = Statement(
    "irrelevant detailed responses change early layers more than the others",
    "RD, early - other layers, detailed (noise removed)",
    Expected.ABOVE,
    0.0,
    0.05,
)

CLAIM = Claim(
    5,
    "Earlier layers react most to irrelevant detailed responses",
    "With detailed reasoning, the gradients of earlier layers change most when the response is "
    "irrelevant.",
    "results on irrelevant responses; RD and parts of the layers in section 3",
    (EARLY,),
)


def _excess(matched: Matched) -> NDArray[np.float64]:
    names = ("detailed correct", "detailed irrelevant")
    return separation(matched, *names, part="early") - separation(matched, *names, part="rest")


def scopes(study: Study) -> Iterator[Scope]:
    for model, dataset in reasoning_scopes(study):
        trial = Trial(EARLY, _excess, (pair(model, dataset, "detailed"),))
        yield Scope(model, dataset, (trial,))
