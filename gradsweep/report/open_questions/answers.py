"""Answers of a report: to every open question, from the points that it is about."""

from __future__ import annotations

import polars as pl

from gradsweep.analysis.open_questions import Answered, evaluate_open_questions
from gradsweep.analysis.open_questions.kept import keep_answers, kept_answers
from gradsweep.analysis.open_questions.material import SIGNALS
from gradsweep.analysis.open_questions.metrics import OTHERS
from gradsweep.analysis.open_questions.where_it_responds import OTHER_NORM
from gradsweep.analysis.rows import with_every_axis
from gradsweep.records import POINT_LABELS, STUDY_OBJECTIVE
from gradsweep.report.stored_rows import StoredRows
from gradsweep.store.training import TrainingTables

METRIC = "nuclear_norm"
"""The study's; the questions are of its size, whatever a report draws."""


METRICS = tuple(dict.fromkeys((METRIC, *SIGNALS, OTHER_NORM, *OTHERS)))
"""What the questions look at of rows."""


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
        # Which of several points of a condition and seed stands for it, all of their metrics tell.
        several = source.every.select(*POINT_LABELS, "seed").is_duplicated().any()
        rows = source.rows(ids, None if several else METRICS)
        answered = questions_of(rows, source.samples(ids), source.loss, training)
        if key:
            keep_answers(source.results, key, answered)
    return answered


def kept_answers_of(source: StoredRows) -> list[Answered] | None:
    """Read the answers that were kept of the same points; None where there are none."""
    key = source.key(source.every["point_id"].to_list())
    return kept_answers(source.results, key) if key else None
