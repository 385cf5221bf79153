"""Answers of a report: to every open question, from the points that it is about."""

from __future__ import annotations

import polars as pl

from gradsweep.analysis.open_questions import Answered, evaluate_open_questions
from gradsweep.analysis.open_questions.material import SIGNALS
from gradsweep.analysis.open_questions.metrics import OTHERS
from gradsweep.analysis.open_questions.where_it_responds import OTHER_NORM
from gradsweep.analysis.rows import with_every_axis
from gradsweep.records import STUDY_OBJECTIVE
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
