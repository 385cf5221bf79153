"""A question that the study leaves open, and what points answer: the records of this package.

Verdicts, intervals and controls are those of the claims (`gradsweep.analysis.claims`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.claims import Control, Statement, Verdict
from gradsweep.analysis.claims.controls import controls
from gradsweep.analysis.claims.estimate import Estimate, judged
from gradsweep.analysis.effect_sizes import quantiles
from gradsweep.store.series import model_label


@dataclass(frozen=True)
class OpenQuestion:
    """What is asked, and what an answer rests on."""

    key: str
    """Stem of its files."""
    title: str
    text: str
    """How it is answered, in a few sentences: the statistics, and what decides."""
    overturned_by: str
    """What would overturn an answer, controls and more."""


@dataclass(frozen=True)
class Scope:
    """Model, series and dataset that an answer is about."""

    model: str
    """As in the rows; `base → instruct` where two are compared."""
    series: str
    dataset: str
    """As in the rows; `wiki` for the knowledge tasks."""

    @property
    def model_words(self) -> str:
        """The model with its series, as a reader sees it."""
        return model_label(self.model, self.series)


@dataclass(frozen=True)
class Answer:
    """One statement, in one scope: value, interval, verdict, and what could overturn it."""

    statement: Statement
    scope: Scope
    value: float
    """NaN where points are missing, as are low and high."""
    low: float
    high: float
    verdict: Verdict
    reason: str
    """Why; for what is not testable also what to run."""
    n_questions: int
    controls: tuple[Control, ...] = ()


@dataclass(frozen=True)
class Numbers:
    """The numbers behind answers, a table of them."""

    name: str
    """Stem of its files, after the question's."""
    title: str
    caption: str
    keys: tuple[str, ...]
    """Columns that say what a line is about."""
    columns: Mapping[str, str]
    """Columns of numbers -> what a reader sees above them."""
    frame: pl.DataFrame
    """Beside these, `<column> low` and `<column> high`: the ends of intervals."""


PLOT_SCHEMA: dict[str, pl.DataType] = {
    "panel": pl.String(),
    "line": pl.String(),
    "level": pl.String(),
    "joined": pl.Boolean(),
    "x": pl.Float64(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n": pl.Int64(),
}
"""Of `Plot.lines`: panel and line by their names; level, the CoT level that gives the colour (null:
one of the palette); joined, whether a line goes through the points; x, value, the interval's ends
(NaN without one), n (questions)."""


@dataclass(frozen=True)
class Plot:
    """Panels of lines or points, to be drawn on the page and as a figure."""

    name: str
    """Stem of its files, after the question's."""
    title: str
    x: str
    """What the x axes show."""
    lines: pl.DataFrame
    """Of `PLOT_SCHEMA`."""
    x_by_factors: bool = False
    y_by_factors: bool = False
    ticks: tuple[tuple[float, str], ...] = ()
    """Places and words of the x axes, where numbers would not do."""


@dataclass(frozen=True)
class Answered:
    """What the points answer of one question."""

    question: OpenQuestion
    answers: tuple[Answer, ...] = ()
    said: tuple[str, ...] = ()
    """Sentences, one for each scope."""
    numbers: tuple[Numbers, ...] = ()
    plots: tuple[Plot, ...] = ()
    run: str = ""
    """What to run where nothing can be answered, or not everything; empty otherwise."""


def answer_of(
    statement: Statement,
    scope: Scope,
    estimate: Estimate,
    under: Mapping[str, Estimate] | None = None,
    confidence: float = 0.95,
) -> Answer:
    """Make the answer of an estimate, with what becomes of it under each control."""
    controlled = () if estimate.problem else controls(
        [estimate], [dict(under or {})], statement, confidence
    )  # fmt: skip
    told = judged(estimate, statement, confidence)
    return Answer(statement, scope, *told, estimate.n_questions, controlled)


def with_ends(name: str, resampled: NDArray[np.float64], confidence: float) -> dict[str, float]:
    """Lay a statistic and its interval out as columns of `Numbers.frame`.

    `resampled` is (1 + resamples,), the observed sample first.
    """
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    low, high = quantiles(resampled[1:], tails).tolist()
    return {name: float(resampled[0]), f"{name} low": low, f"{name} high": high}


def answers_frame(answered: Sequence[Answered]) -> pl.DataFrame:
    """Make a table of a line per answer and control; the latter have its name in `under`.

    Columns: question, statement, statistic, model, series, dataset, under (empty for the answer
    itself), value, low, high, null, verdict, outcome (of a control), reason, n_questions.
    """
    text, number = pl.String(), pl.Float64()
    schema = {
        **dict.fromkeys(
            ("question", "statement", "statistic", "model", "series", "dataset", "under"), text
        ),
        **dict.fromkeys(("value", "low", "high", "null"), number),
        **dict.fromkeys(("verdict", "outcome", "reason"), text),
        "n_questions": pl.Int64(),
    }
    lines = [
        line for one in answered for answer in one.answers for line in _lines(one.question, answer)
    ]
    return pl.DataFrame(lines, schema=schema, orient="row")


def _lines(question: OpenQuestion, answer: Answer) -> list[tuple[object, ...]]:
    statement, scope = answer.statement, answer.scope
    about = (
        question.key, statement.text, statement.statistic, scope.model, scope.series, scope.dataset,
    )  # fmt: skip
    own: tuple[object, ...] = (
        *about, "", answer.value, answer.low, answer.high, statement.null, answer.verdict.value,
        "", answer.reason, answer.n_questions,
    )  # fmt: skip
    return [own] + [
        (*about, one.name, one.value, one.low, one.high, statement.null, one.verdict.value,
         one.outcome.value, one.reason, answer.n_questions)
        for one in answer.controls
    ]  # fmt: skip
