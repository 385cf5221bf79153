"""Claim 3: instruct models see irrelevance no better, and fast thinking shakes them more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from gradsweep.analysis.claims.finding import Claim, Expected, Statement
from gradsweep.analysis.claims.matched import Matched, Study
from gradsweep.analysis.claims.statistics import (
    log_ratio_of_mads,
    log_ratio_of_means,
    log_ratio_of_relative_mads,
    separation,
)
from gradsweep.analysis.claims.trials import Scope, Trial, reasoning_scopes
from gradsweep.analysis.pairs import base_and_instruct_models
from gradsweep.analysis.rows import CORRECT, IRRELEVANT
from gradsweep.records import Axes

NO_BETTER = Statement(
    "instruct models separate correct from irrelevant no better",
    "RD, instruct - base, detailed (noise removed)",
    Expected.NOT_ABOVE,
    0.0,
    0.05,
)
LESS_UNEVEN = Statement(
    "fast thinking makes base models' layers less uneven",
    "MAD, none / detailed: instruct / base",
    Expected.ABOVE,
    1.0,
    1.1,
    ratio=True,
)
LESS_LARGE = Statement(
    "fast thinking enlarges base models' gradients less",
    "mean, none / detailed: instruct / base",
    Expected.ABOVE,
    1.0,
    1.1,
    ratio=True,
    decides=False,
)

CLAIM = Claim(
    3,
    "Instruct models are no better at it, and fast thinking shakes them more",
    "Instruct models are no better than their base models at telling correct from irrelevant "
    "responses; under fast thinking, base models are the less affected by instability.",
    "abstract of the first version (2410.23743v1)",
    (NO_BETTER, LESS_UNEVEN, LESS_LARGE),
)


def _better(matched: Matched) -> NDArray[np.float64]:
    instruct = separation(matched, f"instruct {CORRECT}", f"instruct {IRRELEVANT}")
    return instruct - separation(matched, f"base {CORRECT}", f"base {IRRELEVANT}")


def _more_uneven(matched: Matched) -> NDArray[np.float64]:
    instruct = log_ratio_of_mads(matched, "instruct none", "instruct detailed")
    return instruct - log_ratio_of_mads(matched, "base none", "base detailed")


def _more_uneven_relative(matched: Matched) -> NDArray[np.float64]:
    instruct = log_ratio_of_relative_mads(matched, "instruct none", "instruct detailed")
    return instruct - log_ratio_of_relative_mads(matched, "base none", "base detailed")


def _larger(matched: Matched) -> NDArray[np.float64]:
    instruct = log_ratio_of_means(matched, "instruct none", "instruct detailed")
    return instruct - log_ratio_of_means(matched, "base none", "base detailed")


_TRIED = ((NO_BETTER, _better), (LESS_UNEVEN, _more_uneven), (LESS_LARGE, _larger))


def scopes(study: Study) -> Iterator[Scope]:
    pairs = base_and_instruct_models(study.models)
    paired = {model for pair in pairs for model in pair}
    datasets: dict[str, list[str]] = {}
    for model, dataset in reasoning_scopes(study):
        datasets.setdefault(model, []).append(dataset)
    for base, instruct in pairs:
        for dataset in dict.fromkeys(datasets.get(base, []) + datasets.get(instruct, [])):
            yield _scope({"base": base, "instruct": instruct}, dataset)
    for model in datasets:
        if model in paired:
            continue
        problem = (
            f"these points have no other half of {model}: run its base or instruct model in the "
            "same conditions (names pair as X and X_instruct)"
        )
        for dataset in datasets[model]:
            trials = [Trial(statement, try_, problem=problem) for statement, try_ in _TRIED]
            yield Scope(model, dataset, tuple(trials))


def _scope(models: Mapping[str, str], dataset: str) -> Scope:
    detailed = {
        f"{role} {kind}": Axes(model, dataset, "detailed", kind)
        for role, model in models.items()
        for kind in (CORRECT, IRRELEVANT)
    }
    levels = {
        f"{role} {cot}": Axes(model, dataset, cot, CORRECT)
        for role, model in models.items()
        for cot in ("none", "detailed")
    }
    compared = ("none", "detailed")
    trials = (
        Trial(NO_BETTER, _better, (detailed,)),
        Trial(LESS_UNEVEN, _more_uneven, (levels,), compared, _more_uneven_relative),
        Trial(LESS_LARGE, _larger, (levels,), compared),
    )
    return Scope(f"{models['base']} → {models['instruct']}", dataset, trials)
