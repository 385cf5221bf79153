"""Rows with planted values, in the form of the store's reader."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest


def planted_rows(
    values: np.ndarray,
    *,
    cot: str = "none",
    correctness: str = "correct",
    projection: str = "q",
    model: str = "tiny",
    objective: str = "sft",
    series: str = "",
    point_id: str | None = None,
    questions: list[str] | None = None,
) -> pl.DataFrame:
    """One point whose nuclear norm in sample s and layer l is `values[s, l]`."""
    n_samples, n_layers = values.shape
    questions = questions or [f"question{index}" for index in range(n_samples)]
    point_id = point_id or f"{model}-{cot}-{correctness}{series}"
    return pl.DataFrame(
        {
            "model": model,
            "dataset": "sums",
            "cot": cot,
            "correctness": correctness,
            "objective": objective,
            "series": series,
            "point_id": point_id,
            "sample_id": np.repeat([f"{point_id}-{name}" for name in questions], n_layers),
            "question_id": np.repeat(questions, n_layers),
            "projection": projection,
            "layer": np.tile(np.arange(n_layers, dtype=np.int32), n_samples),
            "nuclear_norm": values.ravel().astype(np.float64),
            "rank": np.full(values.size, 3),
        }
    )


@pytest.fixture
def plant() -> Callable[..., pl.DataFrame]:
    return planted_rows
