"""Norms of all conditions by their length, in both reductions: a table and a plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.claims.trials import KNOWLEDGE_PREFIX
from gradsweep.analysis.length_fit import Cloud
from gradsweep.analysis.open_questions.material import QuestionMaterial
from gradsweep.analysis.open_questions.question import (
    PLOT_SCHEMA,
    Numbers,
    Plot,
    Scope,
    with_ends,
)
from gradsweep.config import is_reasoning_level

Scopes = Sequence[tuple[Scope, Mapping[str, Cloud]]]

_REDUCTIONS = {"averaged": 0, "summed": 1}
"""How a loss is reduced over tokens -> the power of T by which it differs from what is stored."""
_COLUMNS = {"tokens": "tokens T", "averaged": "loss averaged", "summed": "loss summed"}


def is_main(condition: str) -> bool:
    """Tell whether a condition is a level of reasoning, or a popular text of some length."""
    return is_reasoning_level(condition) or condition.startswith(f"{KNOWLEDGE_PREFIX}popular")


def reductions_table(scopes: Scopes, material: QuestionMaterial) -> Numbers:
    """Set the norms of every condition in both reductions side by side."""
    lines = [
        {
            "model": scope.model_words,
            "dataset": scope.dataset,
            "condition": condition,
            "tokens": float(np.exp(cloud.mean_log_tokens[0])),
            **with_ends("averaged", _norm(cloud, "averaged"), material.confidence),
            **with_ends("summed", _norm(cloud, "summed"), material.confidence),
        }
        for scope, clouds in scopes
        for condition, cloud in clouds.items()
    ]
    return Numbers(
        name="reductions",
        title="both reductions",
        caption=(
            "Tokens of a response, and the size of its gradient with the loss averaged and summed "
            "over them: geometric means over questions and projections, of means over layers"
        ),
        keys=("model", "dataset", "condition"),
        columns=_COLUMNS,
        frame=pl.DataFrame(lines),
    )


def tokens_plot(scopes: Scopes, material: QuestionMaterial) -> Plot:
    """Draw norms by tokens: levels of a dataset joined, controls of length as points."""
    lines = [
        line
        for reduction in _REDUCTIONS
        for scope, clouds in scopes
        for line in _points(scope, clouds, reduction, material)
    ]
    return Plot(
        name="tokens",
        title="size by tokens, loss averaged and summed over them",
        x="response tokens T",
        lines=pl.DataFrame(lines, schema=PLOT_SCHEMA),
        x_by_factors=True,
        y_by_factors=True,
    )


def _points(
    scope: Scope, clouds: Mapping[str, Cloud], reduction: str, material: QuestionMaterial
) -> Iterator[dict[str, object]]:
    for condition, cloud in clouds.items():
        joined = is_main(condition)
        words = condition.replace("_as_long_as_", " as long as ")
        ends = with_ends("value", _norm(cloud, reduction), material.confidence)
        yield {
            "panel": f"{scope.model_words}, {reduction}",
            "line": scope.dataset if joined else f"{scope.dataset}, {words}",
            "level": None,
            "joined": joined,
            "x": float(np.exp(cloud.mean_log_tokens[0])),
            "value": ends["value"],
            "low": ends["value low"],
            "high": ends["value high"],
            "n": cloud.n_questions,
        }


def _norm(cloud: Cloud, reduction: str) -> NDArray[np.float64]:
    """The geometric mean over questions, (1 + resamples,)."""
    return np.asarray(np.exp(cloud.mean_log_norm + _REDUCTIONS[reduction] * cloud.mean_log_tokens))
