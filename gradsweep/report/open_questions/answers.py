"""Answers of a report: to every open question, from the points that it is about."""

from __future__ import annotations

import polars as pl

from gradsweep.analysis.chosen_rows import ChosenRows
from gradsweep.analysis.held_rows import HeldRows
from gradsweep.analysis.open_questions import Answered, evaluate_open_questions
from gradsweep.analysis.open_questions.evaluate import answers
from gradsweep.analysis.open_questions.kept import keep_answers, kept_answers
from gradsweep.analysis.open_questions.material import QuestionMaterial, Steps, asked_metrics
from gradsweep.analysis.rows import with_every_axis
from gradsweep.records import STUDY_OBJECTIVE
from gradsweep.report.stored_rows import StoredRows
from gradsweep.store.training import TrainingTables

METRIC = "nuclear_norm"
"""The study's; the questions are of its size, whatever a report draws."""


def questions_of(
    rows: pl.DataFrame,
    samples: pl.DataFrame | None,
    loss: str = "mean",
    training: TrainingTables | None = None,
) -> list[Answered]:
    """Answer the open questions from a report's rows.

    There are no answers without points of the study's objective, and none of the summed loss: the
    questions look at both reductions themselves.
    """
    if loss != "mean" or rows.is_empty() or METRIC not in rows.columns:
        return []
    if not (with_every_axis(rows)["objective"] == STUDY_OBJECTIVE).any():
        return []
    return evaluate_open_questions(rows, METRIC, samples=samples, training=training)


def questions_of_stored(
    source: StoredRows, training: TrainingTables | None = None
) -> list[Answered]:
    """Answer the open questions from stored points, or as they were answered of the same points.

    Answers are kept beside the results while the points are done and none of them is trained.

    Raises:
        DataError: a damaged file.
    """
    answered = kept_answers_of(source) if training is None else None
    if answered is None:
        ids = source.every["point_id"].to_list()
        key = source.key(ids) if training is None else None
        answered = _answered(source, training)
        if key:
            keep_answers(source.results, key, answered)
    return answered


def _answered(source: StoredRows, training: TrainingTables | None) -> list[Answered]:
    of_study = pl.col("objective") == STUDY_OBJECTIVE
    points, steps = source.points.filter(of_study), source.steps.filter(of_study)
    if source.loss != "mean" or (points.is_empty() and steps.is_empty()):
        return []
    ids = steps["point_id"].to_list()
    of_steps = Steps(source.rows(ids), source.samples(ids) if ids else pl.DataFrame())
    material = QuestionMaterial(
        HeldRows(ChosenRows(source, points), asked_metrics(METRIC)), of_steps, METRIC,
        confidence=0.95, resamples=1000, seed=0, training=training,
    )  # fmt: skip
    return answers(material)


def kept_answers_of(source: StoredRows) -> list[Answered] | None:
    """Read the answers that were kept of the same points; None where there are none."""
    key = source.key(source.every["point_id"].to_list())
    return kept_answers(source.results, key) if key else None
