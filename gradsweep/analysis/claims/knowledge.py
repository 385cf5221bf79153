"""Claim 4: longer knowledge texts do not bring the pattern of slow thinking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gradsweep.analysis.claims.finding import Claim, Expected, Statement
from gradsweep.analysis.claims.matched import Matched, Study
from gradsweep.analysis.claims.statistics import (
    log_ratio_of_mads,
    log_ratio_of_means,
    separation,
)
from gradsweep.analysis.claims.trials import KNOWLEDGE_PREFIX, Scope, Trial
from gradsweep.analysis.rows import CORRECT, IRRELEVANT
from gradsweep.records import Axes

POPULAR = {length: f"wiki_popular_{length}" for length in ("100", "500", "1000")}
UNPOPULAR = "wiki_unpopular"

SHARE = Statement(
    "longer texts bring less than half of slow thinking's fall",
    "fall of log mean, 100 -> 1000 tokens over none -> detailed",
    Expected.NOT_ABOVE,
    0.5,
    0.5,
)
UNPOPULAR_DIFFERS = Statement(
    "unpopular topics differ from popular ones",
    "mean, unpopular / popular (100 tokens)",
    Expected.APART,
    1.0,
    1.1,
    ratio=True,
)


def _not_above(text: str, statistic: str, null: float, counts: float) -> Statement:
    ratio = null == 1
    return Statement(text, statistic, Expected.NOT_ABOVE, null, counts, ratio, decides=False)


SMALLER = _not_above("longer texts give no smaller gradients", "mean, 100 / 1000 tokens", 1.0, 1.1)
SMALLER_500 = _not_above("nor do those between", "mean, 100 / 500 tokens", 1.0, 1.1)
EVEN = _not_above("nor more even ones", "MAD, 100 / 1000 tokens", 1.0, 1.1)
SEPARATES = _not_above(
    "nor do they separate correct from irrelevant better",
    "RD, 1000 - 100 tokens (noise removed)",
    0.0,
    0.05,
)

CLAIM = Claim(
    4,
    "Longer knowledge texts do not bring the slow-thinking pattern",
    "When a model learns knowledge rather than reasoning, a longer response does not make "
    "gradients fall as slow thinking does; unpopular topics behave differently from popular ones.",
    "abstract",
    (SHARE, UNPOPULAR_DIFFERS, SMALLER, SMALLER_500, EVEN, SEPARATES),
)


def _gain(matched: Matched) -> NDArray[np.float64]:
    longer = separation(matched, "1000", "1000 irrelevant")
    return longer - separation(matched, "100", "100 irrelevant")


def scopes(study: Study) -> Iterator[Scope]:
    for model in study.models:
        yield Scope(model, KNOWLEDGE_PREFIX.rstrip("_"), (_share(study, model), *_lengths(model)))


def _lengths(model: str) -> Iterator[Trial]:
    at = {length: Axes(model, name, "none", CORRECT) for length, name in POPULAR.items()}
    wrong = {
        f"{length} irrelevant": Axes(model, name, "none", IRRELEVANT)
        for length, name in POPULAR.items()
    }
    ends = {length: at[length] for length in ("100", "1000")}
    all_ends = ends | {name: wrong[name] for name in ("100 irrelevant", "1000 irrelevant")}
    short = {"100": at["100"]}
    unpopular = {"unpopular": Axes(model, UNPOPULAR, "none", CORRECT)}
    yield Trial(
        UNPOPULAR_DIFFERS, lambda m: log_ratio_of_means(m, "unpopular", "100"), (unpopular, short)
    )
    yield Trial(SMALLER, lambda m: log_ratio_of_means(m, "100", "1000"), (ends,))
    between = short | {"500": at["500"]}
    yield Trial(SMALLER_500, lambda m: log_ratio_of_means(m, "100", "500"), (between,))
    yield Trial(EVEN, lambda m: log_ratio_of_mads(m, "100", "1000"), (ends,))
    yield Trial(SEPARATES, _gain, (all_ends,))


def _share(study: Study, model: str) -> Trial:
    """The fall by length over the fall by thinking, the latter a mean over reasoning tasks."""
    lengths = {n: Axes(model, POPULAR[n], "none", CORRECT) for n in ("100", "1000")}
    levels = [
        {f"{cot} {name}": Axes(model, name, cot, CORRECT) for cot in ("none", "detailed")}
        for name in study.datasets(model)
    ]
    whole = [group for group in levels if all(axes in study.points for axes in group.values())]
    if not whole:
        problem = (
            f"no reasoning dataset of {model} has correct responses at cot=none and cot=detailed "
            "in these points: run one, e.g. dataset=gsm8k cot=none,detailed"
        )
        return Trial(SHARE, lambda m: _share_of(m, []), problem=problem)
    names = [tuple(group) for group in whole]
    return Trial(SHARE, lambda m: _share_of(m, names), (lengths, *whole))


def _share_of(matched: Matched, levels: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
    thinking = np.mean([log_ratio_of_means(matched, *names) for names in levels], axis=0)
    length = log_ratio_of_means(matched, "100", "1000")
    # Without a fall by thinking there is no pattern that length could bring.
    return length / np.where(thinking > 0, thinking, np.nan)
