"""What every question is answered from: rows, samples, and both as one line per question."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import question_weights
from gradsweep.analysis.chosen_rows import ChosenRows, ProjectionRows, read_together
from gradsweep.analysis.claims.controls import Material as ClaimMaterial
from gradsweep.analysis.claims.estimate import Estimate, Estimator
from gradsweep.analysis.claims.matched import studies_of
from gradsweep.analysis.claims.runs import defined
from gradsweep.analysis.claims.trials import KNOWLEDGE_PREFIX
from gradsweep.analysis.conditions import conditions
from gradsweep.analysis.open_questions.question import Scope
from gradsweep.analysis.point_rows import PointRows
from gradsweep.analysis.questions import FEWEST_QUESTIONS
from gradsweep.analysis.rows import single_heads, whole_matrices
from gradsweep.records import METRIC_NAMES, POINT_LABELS, SampleStatus
from gradsweep.store.frames import metric_columns
from gradsweep.store.training import TrainingTables

Floats = NDArray[np.float64]

NO_SAMPLES = "give evaluate_open_questions the samples (gradsweep.load_samples_table)"

SIGNALS: Mapping[str, str] = {
    name: named.of_irrelevant
    for name, named in METRIC_NAMES.items()
    if named.of_irrelevant is not None
}
"""Metrics of gradients that the questions look at -> what is expected of an irrelevant response:
a larger norm, a spectrum of fewer directions."""

OTHERS = ("spectral_radius",)
"""Metrics that only some points have."""


def asked_metrics(metric: str) -> tuple[str, ...]:
    """Name the metrics that are looked at where the size of one is asked about."""
    return tuple(dict.fromkeys((metric, *SIGNALS, *OTHERS)))


def metric_words(metric: str) -> str:
    """Give a metric in words; one of the user's own is its own name."""
    return METRIC_NAMES[metric].words if metric in METRIC_NAMES else metric


@dataclass(frozen=True)
class Steps:
    """Rows and samples of points of single steps (`gradients.by=step`)."""

    rows: pl.DataFrame
    samples: pl.DataFrame | None


@dataclass(frozen=True)
class Summary:
    """What one look at all rows gives."""

    by_question: pl.DataFrame
    """A line per condition and question (`values_by_question`) of `SIGNALS` and the metric."""
    measured: frozenset[str]
    """Metrics that rows have."""
    valued: frozenset[str]
    """Those with a value somewhere."""
    with_heads: frozenset[str]
    """Points with rows of single heads."""


@dataclass(frozen=True)
class QuestionMaterial:
    """Points of the study's objective, and how intervals are made."""

    source: PointRows
    """Of whole samples."""
    steps: Steps
    """Of the same objective."""
    metric: str
    """Whose size is asked about."""
    confidence: float
    resamples: int
    seed: int
    training: TrainingTables | None = None
    """Of points that train the same models."""

    @cached_property
    def claims(self) -> ClaimMaterial:
        """What the claims' controls take: estimators of the other reduction and of the loss."""
        return ClaimMaterial(self.source, self.metric, "mean", self.resamples, self.seed)

    @cached_property
    def estimators(self) -> list[Estimator]:
        """One for each series."""
        found = studies_of(self.source, self.metric, self.resamples, self.seed)
        return [Estimator(study) for study in found]

    @cached_property
    def summary(self) -> Summary:
        """Look at the rows of all points, some conditions at a time."""
        asked = asked_metrics(self.metric)
        lines: list[pl.DataFrame] = []
        measured, valued, with_heads = set[str](), set[str](), set[str]()
        for rows, samples in read_together(self.source, asked):
            known = [name for name in asked if name in metric_columns(rows)]
            measured |= {*known}
            lines.append(values_by_question(rows, samples, [n for n in known if n not in OTHERS]))
            valued |= {n for n in known if rows[n].cast(pl.Float64).is_finite().any()}
            with_heads |= set(single_heads(rows)["point_id"].unique())
        if not lines:
            lines = [values_by_question(self.source.rows(()), None, [self.metric])]
        by_question = pl.concat(lines, how="diagonal_relaxed").sort(*POINT_LABELS, "question_id")
        return Summary(by_question, *map(frozenset, (measured, valued, with_heads)))

    def of_points(self, chosen: pl.DataFrame) -> QuestionMaterial:
        """Take some of the points (lines of `source.points`)."""
        return replace(self, source=ChosenRows(self.source, chosen))

    def of_projections(self, names: Collection[str]) -> QuestionMaterial:
        """Take the rows of some projections."""
        return replace(self, source=ProjectionRows(self.source, frozenset(names)))

    def weights(self, question_ids: Collection[str]) -> Floats:
        """Draw how often each question counts: (1 + resamples, questions), the sample first."""
        return question_weights(tuple(question_ids), self.resamples, self.seed)

    def estimate(self, resampled: Floats, n_questions: int, undefined: str) -> Estimate:
        """Make an estimate of a statistic; too few questions withhold its verdict.

        Args:
            resampled: (1 + resamples,), the observed sample first.
            n_questions: that it rests on.
            undefined: why it may have no value.
        """
        few = "" if n_questions >= FEWEST_QUESTIONS else (
            f"{n_questions} questions, {FEWEST_QUESTIONS} are needed for a verdict: run the same "
            "points with a larger n_samples"
        )  # fmt: skip
        return defined(Estimate(resampled, n_questions, withheld=few), undefined)


def values_by_question(
    rows: pl.DataFrame, samples: pl.DataFrame | None, metrics: Collection[str]
) -> pl.DataFrame:
    """Sum the samples of each condition up, a line for each question.

    Columns: `POINT_LABELS`; question_id; each of `metrics`: the logarithm of the mean over layers,
    averaged over projections; loss; tokens (response tokens). NaN where a value in some layer is
    not finite or not positive, and loss and tokens without `samples`. Seeds of a condition are
    pooled.
    """
    key = [*POINT_LABELS, "question_id"]
    pooled = whole_matrices(conditions(rows))
    trusted = pl.col("finite") if "finite" in pooled.columns else pl.lit(True)
    # In their order: sums in another one, as threads would have it, have other last bits.
    by_projection = pooled.group_by(*key, "projection", maintain_order=True).agg(
        pl.when(trusted).then(pl.col(name).cast(pl.Float64)).otherwise(np.nan).mean().alias(name)
        for name in metrics
    )
    values = by_projection.group_by(key, maintain_order=True).agg(
        pl.when(pl.col(name) > 0).then(pl.col(name).log()).otherwise(np.nan).mean()
        for name in metrics
    )
    return values.join(_of_samples(rows, samples), on=key, how="left").with_columns(
        pl.col("loss", "tokens").fill_null(np.nan)
    ).sort(key)  # fmt: skip


def _of_samples(rows: pl.DataFrame, samples: pl.DataFrame | None) -> pl.DataFrame:
    """Loss and tokens of each condition and question, means over its samples."""
    schema = dict.fromkeys((*POINT_LABELS, "question_id"), pl.String())
    if samples is None:
        return pl.DataFrame(schema={**schema, "loss": pl.Float64(), "tokens": pl.Float64()})
    points = rows.select("point_id", *POINT_LABELS).unique()
    measured = samples.filter(pl.col("status") == SampleStatus.OK.value).select(
        "point_id", "question_id", "loss", pl.col("n_response_tokens").alias("tokens")
    )
    named = measured.join(points, on="point_id")
    return named.group_by(*schema, maintain_order=True).agg(
        pl.col("loss", "tokens").cast(pl.Float64).mean()
    )


def scopes_of(by_question: pl.DataFrame) -> Iterator[tuple[Scope, pl.DataFrame]]:
    """Give the tasks that have CoT levels, with their lines."""
    reasoning = by_question.filter(~pl.col("dataset").str.starts_with(KNOWLEDGE_PREFIX))
    keys = ["model", "series", "dataset"]
    for (model, series, dataset), lines in reasoning.group_by(keys, maintain_order=True):
        yield Scope(str(model), str(series), str(dataset)), lines
