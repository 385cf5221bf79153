"""Training points on the tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.tiny_point import tiny_point

from gradsweep import compose, extract
from gradsweep.extraction import PointResult

Point = Callable[..., PointResult]

SMALL = (
    "training=full",
    "training.steps=4",
    "training.batch_size=2",
    "training.learning_rate=0.01",
    "training.probe_every=2",
    "training.probe_questions=2",
    "n_samples=12",
    "model.max_length=400",
    "tracking=none",
)


@pytest.fixture
def overrides(saved_model: Path, tmp_path: Path) -> list[str]:
    return tiny_point(saved_model, tmp_path / "results", *SMALL)


@pytest.fixture
def run(overrides: list[str]) -> Point:
    def run_point(*more: str) -> PointResult:
        return extract(compose(*overrides, *more), show_progress=False)

    return run_point
