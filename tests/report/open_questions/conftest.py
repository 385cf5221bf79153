"""Answers to open questions about planted points: levels, steps kept, both kinds of responses."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from helpers.question_rows import planted

from gradsweep.analysis.open_questions import Answered, evaluate_open_questions

N = 12
TOKENS = {"none": 3, "partial_0": 10, "partial_1": 30, "partial_2": 50, "detailed": 200}
NORMS = {"none": 6.0, "partial_0": 3.0, "partial_1": 1.5, "partial_2": 1.0, "detailed": 1.0}


def question_points(model: str = "tiny") -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows and samples of every level of `TOKENS`, correct and irrelevant."""
    rng = np.random.default_rng(0)
    return planted(
        {
            (cot, kind): {
                "nuclear_norm": norm * rng.lognormal(sigma=0.1, size=N),
                "effective_rank": rng.lognormal(1.0, 0.1, N),
                "tokens": rng.integers(TOKENS[cot], 2 * TOKENS[cot], N).astype(float),
                "loss": rng.lognormal(0.5 if kind == "irrelevant" else 0.0, 0.3, N),
            }
            for cot, norm in NORMS.items()
            for kind in ("correct", "irrelevant")
        },
        n_questions=N,
        model=model,
        projections="qv",
    )


@pytest.fixture(scope="session")
def points() -> tuple[pl.DataFrame, pl.DataFrame]:
    return question_points()


@pytest.fixture(scope="session")
def answered(points: tuple[pl.DataFrame, pl.DataFrame]) -> list[Answered]:
    rows, samples = points
    return evaluate_open_questions(rows, samples=samples, resamples=100)
