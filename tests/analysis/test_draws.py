"""Draws that would say nothing are refused by whatever gives verdicts or answers."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest
from helpers.claim_rows import reasoning

from gradsweep.analysis import evaluate_claims, evaluate_rated_claims, evaluate_training_claims
from gradsweep.analysis.open_questions import evaluate_open_questions
from gradsweep.errors import ConfigError
from gradsweep.store.training import TrainingTables

ROWS = reasoning(n_questions=10)


@pytest.mark.parametrize(
    ("evaluate", "given"),
    [
        (evaluate_claims, ROWS),
        (evaluate_rated_claims, ROWS),
        (evaluate_training_claims, TrainingTables(ROWS, ROWS, ROWS)),
        (evaluate_open_questions, ROWS),
    ],
)
def test_one_resample_has_no_width_and_a_percentage_is_no_share(
    evaluate: Callable[..., object], given: pl.DataFrame | TrainingTables
) -> None:
    with pytest.raises(ConfigError, match=r"confidence must be in \(0, 1\), got 95"):
        evaluate(given, confidence=95)
    with pytest.raises(ConfigError, match="resamples must be at least 100, got 1"):
        evaluate(given, resamples=1)
