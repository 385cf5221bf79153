"""A point of six samples on the tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gradsweep import compose, extract
from gradsweep.extraction import PointResult

Point = Callable[..., PointResult]


@pytest.fixture
def overrides(saved_model: Path, tmp_path: Path) -> list[str]:
    return [
        "model=folder",
        f"model.source.path={saved_model}",
        "model.name=tiny",
        "model.max_length=400",
        "tracking=none",
        "cot=simplified",
        "n_samples=6",
        f"store.root={tmp_path / 'results'}",
    ]


@pytest.fixture
def run(overrides: list[str]) -> Point:
    def run_point(*more: str) -> PointResult:
        return extract(compose(*overrides, *more), show_progress=False)

    return run_point
