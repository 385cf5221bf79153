"""Runs every open question over the points that are there."""

from __future__ import annotations

import polars as pl

from gradsweep.analysis.claims.estimate import require_draws
from gradsweep.analysis.open_questions import (
    detection,
    metrics,
    reasoning_or_tokens,
    single_steps,
    steps_kept,
    where_it_responds,
)
from gradsweep.analysis.open_questions.material import QuestionMaterial, Steps
from gradsweep.analysis.open_questions.question import Answered, OpenQuestion
from gradsweep.analysis.point_rows import FrameRows
from gradsweep.analysis.rows import require_metric, single_steps_of, with_every_axis
from gradsweep.records import STUDY_OBJECTIVE
from gradsweep.store.training import TrainingTables

_QUESTION_FILES = (
    reasoning_or_tokens,
    steps_kept,
    single_steps,
    detection,
    where_it_responds,
    metrics,
)

OPEN_QUESTIONS: tuple[OpenQuestion, ...] = tuple(file.QUESTION for file in _QUESTION_FILES)


def evaluate_open_questions(
    rows: pl.DataFrame,
    metric: str = "nuclear_norm",
    *,
    samples: pl.DataFrame | None = None,
    training: TrainingTables | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Answered]:
    """Answer every open question (`OPEN_QUESTIONS`) as far as the points go.

    A question that they cannot answer says what to run. Points of other objectives than the study's
    change no number. Intervals are percentile bootstraps over questions, the same ones drawn in
    every condition.

    Args:
        rows: as `load_rows` gives them.
        metric: whose size is asked about.
        samples: of the same points (`load_samples_table`): loss and tokens.
        training: of points that train the same models (`load_training`): the check by freezing.
        confidence: of the intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ConfigError: an unknown metric, a confidence outside (0, 1), or fewer than 100 resamples.
        DataError: `samples` lacks some of `rows`, or a projection has rows of single heads only.
    """
    require_draws(confidence, resamples)
    require_metric(rows, metric)
    of_study = with_every_axis(rows)
    if (of_study["objective"] != STUDY_OBJECTIVE).any():  # all rows once more take some GB
        of_study = of_study.filter(pl.col("objective") == STUDY_OBJECTIVE)
    if samples is not None:
        samples = samples.join(of_study, on="point_id", how="semi")
    source, steps = FrameRows(of_study, samples), Steps(single_steps_of(of_study), samples)
    return answers(QuestionMaterial(source, steps, metric, confidence, resamples, seed, training))


def answers(material: QuestionMaterial) -> list[Answered]:
    """Do what `evaluate_open_questions` does, of points whose rows are read when they are needed.

    Raises:
        DataError: a damaged file; a projection with rows of single heads only.
    """
    return [file.answered(material) for file in _QUESTION_FILES]
