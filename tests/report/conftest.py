"""Planted comparisons: rows in the form of the store's reader, and points on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from helpers.stored_points import store_point

from gradsweep.records import Axes

SIX = {
    ("none", "correct"): 4.0,
    ("none", "irrelevant"): 4.2,
    ("simplified", "correct"): 1.0,
    ("simplified", "irrelevant"): 1.3,
    ("detailed", "correct"): 0.5,
    ("detailed", "irrelevant"): 0.9,
}


def condition_rows(
    levels: Mapping[tuple[str, str], float] = SIX,
    *,
    n_samples: int = 4,
    n_layers: int = 6,
    projections: str = "qkvo",
    model: str = "tiny",
    dataset: str = "sums",
    objective: str = "sft",
    series: str = "",
) -> pl.DataFrame:
    """Curves that alternate by ±50 % around each condition's level, so MAD equals the level.

    Projections are 1, 2, 3, … times the level; half of the samples lie 20 % above it and half
    below, so with an even `n_samples` the mean is exact.
    """
    told = objective.removeprefix("sft") + series
    zigzag = np.where(np.arange(n_layers) % 2, 1.5, 0.5)
    spread = np.where(np.arange(n_samples) % 2, 1.2, 0.8)
    frames = []
    for (cot, correctness), level in levels.items():
        for factor, projection in enumerate(projections, start=1):
            values = factor * level * spread[:, None] * zigzag
            samples = np.repeat(np.arange(n_samples), n_layers)
            frames.append(
                pl.DataFrame(
                    {
                        "model": model,
                        "dataset": dataset,
                        "cot": cot,
                        "correctness": correctness,
                        "objective": objective,
                        "series": series,
                        "point_id": f"{model}-{dataset}-{cot}-{correctness}{told}",
                        "sample_id": [f"{cot}-{correctness}-{sample}" for sample in samples],
                        "question_id": [f"question{sample}" for sample in samples],
                        "projection": projection,
                        "layer": np.tile(np.arange(n_layers, dtype=np.int32), n_samples),
                        "nuclear_norm": values.ravel(),
                        "effective_rank": 1 / values.ravel(),
                        "finite": True,
                    }
                )
            )
    return pl.concat(frames)


@pytest.fixture(scope="session")
def plant() -> Callable[..., pl.DataFrame]:
    return condition_rows


@pytest.fixture
def two_models(wide_terminal: None) -> Path:
    """Two models; none is four times detailed, except in layer 0, where it is eight times."""
    results = Path("results")
    for model, scale in (("small", 1.0), ("large", 3.0)):
        for cot, level in (("none", 4.0), ("detailed", 1.0)):
            axes = Axes(model, "sums", cot, "correct")
            first_layer = 2.0 if cot == "none" else 1.0
            store_point(
                results, f"{model[0]}{cot[0]}00", axes, scale * level, first_layer=first_layer
            )
    return results
