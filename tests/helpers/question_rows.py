"""Rows and samples of conditions with planted norms, lengths and losses of every question."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

Values = Mapping[str, NDArray[np.float64] | float]
"""nuclear_norm, tokens, loss and further metrics: one for each question, or one for all."""

N_LAYERS = 3


def planted(
    conditions: Mapping[tuple[str, str], Values],
    *,
    n_questions: int = 40,
    model: str = "tiny",
    dataset: str = "sums",
    projections: str = "q",
    shape: Mapping[tuple[str, str], NDArray[np.float64]] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make the rows and samples of (cot, correctness) -> values.

    A metric is the same in every projection; over the layers it is times `shape` (of mean 1) of
    its condition, by default the same.
    """
    rows, samples = [], []
    asked = "popular" if "popular" in dataset else dataset
    ids = [f"{asked}{index:03}" for index in range(n_questions)]
    for (cot, correctness), values in conditions.items():
        arrays = {name: np.broadcast_to(value, n_questions) for name, value in values.items()}
        name = f"{model}-{dataset}-{cot}-{correctness}"
        sample_ids = [f"{name}-{one}" for one in ids]
        curve = (shape or {}).get((cot, correctness), np.ones(N_LAYERS))
        cells = len(projections) * len(curve)
        metrics = {
            metric: np.outer(array, np.tile(curve, len(projections))).ravel()
            for metric, array in arrays.items()
            if metric not in ("tokens", "loss")
        }
        rows.append(pl.DataFrame({
            "model": model, "dataset": dataset, "cot": cot, "correctness": correctness,
            "objective": "sft", "series": "", "point_id": name,
            "sample_id": np.repeat(sample_ids, cells), "question_id": np.repeat(ids, cells),
            "projection": np.tile(np.repeat(list(projections), len(curve)), n_questions),
            "layer": np.tile(np.arange(len(curve), dtype=np.int32), n_questions * len(projections)),
            "finite": True, **metrics,
        }))  # fmt: skip
        samples.append(pl.DataFrame({
            "model": model, "dataset": dataset, "cot": cot, "correctness": correctness,
            "objective": "sft", "series": "", "point_id": name,
            "sample_id": sample_ids, "question_id": ids, "status": "ok",
            "loss": arrays.get("loss", np.ones(n_questions)),
            "n_response_tokens": arrays.get("tokens", np.full(n_questions, 9.0)).astype(np.int32),
        }))  # fmt: skip
    return pl.concat(rows), pl.concat(samples)
