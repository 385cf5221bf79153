"""What every question is answered from: rows, samples, and both as one line per question."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import question_weights
from gradsweep.analysis.claims.controls import Material as ClaimMaterial
from gradsweep.analysis.claims.estimate import Estimate, Estimator
from gradsweep.analysis.claims.matched import studies
from gradsweep.analysis.claims.runs import defined
from gradsweep.analysis.claims.trials import KNOWLEDGE_PREFIX
from gradsweep.analysis.conditions import conditions
from gradsweep.analysis.open_questions.question import Scope
from gradsweep.analysis.point_rows import FrameRows
from gradsweep.analysis.questions import FEWEST_QUESTIONS
from gradsweep.analysis.rows import whole_matrices, with_every_axis
from gradsweep.records import METRIC_NAMES, POINT_LABELS, STUDY_OBJECTIVE, SampleStatus
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


def metric_words(metric: str) -> str:
    """Give a metric in words; one of the user's own is its own name."""
    return METRIC_NAMES[metric].words if metric in METRIC_NAMES else metric


@dataclass(frozen=True)
class QuestionMaterial:
    """Points of the study's objective, and how intervals are made."""

    rows: pl.DataFrame
    """As the store's reader gives them, of objective=sft."""
    samples: pl.DataFrame | None
    """Of the same points, with loss and n_response_tokens."""
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
        source = FrameRows(self.rows, self.samples)
        return ClaimMaterial(source, self.metric, "mean", self.resamples, self.seed)

    @cached_property
    def estimators(self) -> list[Estimator]:
        """One for each series."""
        return [Estimator(s) for s in studies(self.rows, self.metric, self.resamples, self.seed)]

    @cached_property
    def by_question(self) -> pl.DataFrame:
        """A line per condition and question (`values_by_question`) of `SIGNALS` and the metric."""
        known = metric_columns(self.rows)
        wanted = [name for name in dict.fromkeys((self.metric, *SIGNALS)) if name in known]
        return values_by_question(self.rows, self.samples, wanted)

    def of_projections(self, names: Collection[str]) -> QuestionMaterial:
        """Take the rows of some projections."""
        return replace(self, rows=self.rows.filter(pl.col("projection").is_in(list(names))))

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


def material_of(
    rows: pl.DataFrame,
    samples: pl.DataFrame | None,
    metric: str,
    confidence: float,
    resamples: int,
    seed: int,
    training: TrainingTables | None = None,
) -> QuestionMaterial:
    """Take what the questions are about: points of the study's objective."""
    of_study = with_every_axis(rows)
    if (of_study["objective"] != STUDY_OBJECTIVE).any():  # all rows once more take some GB
        of_study = of_study.filter(pl.col("objective") == STUDY_OBJECTIVE)
    if samples is not None:
        samples = samples.join(of_study, on="point_id", how="semi")
    return QuestionMaterial(of_study, samples, metric, confidence, resamples, seed, training)


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
