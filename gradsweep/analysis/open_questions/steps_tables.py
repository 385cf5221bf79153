"""Dose-response curves of steps kept as a table and a plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.open_questions.material import QuestionMaterial
from gradsweep.analysis.open_questions.question import (
    PLOT_SCHEMA,
    Numbers,
    Plot,
    Scope,
    with_ends,
)
from gradsweep.analysis.rows import CORRECT


@dataclass(frozen=True)
class Curve:
    """One quantity by steps kept, over that of all steps."""

    scope: Scope
    kind: str
    """Of layers: attention or feed-forward."""
    quantity: str
    """mean or MAD."""
    reduction: str
    """The control that it is the curve of; empty for what was measured."""
    steps: tuple[int, ...]
    """Kept, without all."""
    labels: tuple[str, ...]
    """Of the CoT axis: by steps kept, all steps, and then what stands beside."""
    log_ratios: NDArray[np.float64]
    """(1 + resamples, labels)"""
    n_questions: int

    @property
    def doses(self) -> tuple[float, ...]:
        """Steps kept; all steps count as twice the most that were kept."""
        return (*map(float, self.steps), 2.0 * max(self.steps[-1], 1))

    @property
    def places(self) -> NDArray[np.float64]:
        """Places of the doses on the fit's axis: log2(1 + steps)."""
        return np.asarray(np.log2(1 + np.array(self.doses)))

    @property
    def words(self) -> tuple[str, ...]:
        """What a reader sees of each label."""
        beside = self.labels[len(self.doses) :]
        return (*map(str, self.steps), "all", *beside)

    @property
    def column(self) -> str:
        """Its column in the table; empty where it has none."""
        return {("", "mean"): "mean", ("", "MAD"): "MAD"}.get(
            (self.reduction, self.quantity), self.reduction if self.quantity == "mean" else ""
        )


def dose_table(curves: Sequence[Curve], material: QuestionMaterial) -> Numbers:
    """Set mean and MAD, as measured and under controls, side by side for every number of steps."""
    lines: dict[tuple[Scope, str, str], dict[str, object]] = {}
    for curve in curves:
        if not curve.column or not len(curve.log_ratios):
            continue
        tokens = _tokens(curve.scope, material)
        for place, (label, words) in enumerate(zip(curve.labels, curve.words, strict=True)):
            line = lines.setdefault((curve.scope, curve.kind, label), {
                "model": curve.scope.model_words, "dataset": curve.scope.dataset,
                "layers": curve.kind, "steps kept": words, "tokens": tokens.get(label, np.nan),
            })  # fmt: skip
            line |= with_ends(curve.column, np.exp(curve.log_ratios[:, place]), material.confidence)
    columns = list(dict.fromkeys(curve.column for curve in curves if curve.column))
    return Numbers(
        name="doses",
        title="by steps kept",
        caption=(
            "Size and unevenness of gradients over those of the whole rationale, by the first "
            "steps that are kept; the size with the loss summed over tokens; and the loss itself"
        ),
        keys=("model", "dataset", "layers", "steps kept"),
        columns={"tokens": "tokens T", **{name: name for name in columns}},
        frame=pl.DataFrame(list(lines.values()), infer_schema_length=None),
    )


def dose_plot(curves: Sequence[Curve], material: QuestionMaterial) -> Plot:
    """Draw mean and MAD by steps kept, kinds of layers over each other."""
    own = [curve for curve in curves if not curve.reduction and len(curve.log_ratios)]
    ticks = {
        place: words
        for curve in own
        for place, words in zip(_places(curve), curve.words, strict=True)
    }
    lines = [line for curve in own for line in _points(curve, material.confidence)]
    return Plot(
        name="doses",
        title="over that of all steps",
        x="steps kept",
        lines=pl.DataFrame(lines, schema=PLOT_SCHEMA),
        y_by_factors=True,
        ticks=tuple(sorted(ticks.items())),
    )


def _places(curve: Curve) -> list[float]:
    """Of every label on the plot's axis; what stands beside is further right."""
    last = float(curve.places[-1])
    beside = range(1, len(curve.labels) - len(curve.doses) + 1)
    return [*map(float, curve.places), *(last + 1.3 * step for step in beside)]


def _points(curve: Curve, confidence: float) -> Iterator[dict[str, object]]:
    n_doses = len(curve.doses)
    for index, (place, words) in enumerate(zip(_places(curve), curve.words, strict=True)):
        ends = with_ends("value", np.exp(curve.log_ratios[:, index]), confidence)
        beside = index >= n_doses
        yield {
            "panel": f"{curve.scope.model_words} · {curve.scope.dataset}, {curve.quantity}",
            "line": f"{curve.kind}, {words}" if beside else curve.kind,
            "level": None,
            "joined": not beside,
            "x": place,
            "value": ends["value"],
            "low": ends["value low"],
            "high": ends["value high"],
            "n": curve.n_questions,
        }


def _tokens(scope: Scope, material: QuestionMaterial) -> dict[str, float]:
    """Mean response tokens of each label."""
    lines = material.summary.by_question.filter(
        pl.col("model") == scope.model,
        pl.col("series") == scope.series,
        pl.col("dataset") == scope.dataset,
        pl.col("correctness") == CORRECT,
    )
    means = lines.group_by("cot").agg(pl.col("tokens").mean())
    return {str(cot): float(mean) for cot, mean in means.iter_rows() if mean is not None}
