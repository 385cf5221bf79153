"""Training points on the tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.tiny_point import SHORT_RUN, tiny_point

from gradsweep import compose, extract
from gradsweep.extraction import PointResult

Point = Callable[..., PointResult]


@pytest.fixture
def overrides(saved_model: Path, tmp_path: Path) -> list[str]:
    return tiny_point(saved_model, tmp_path / "results", *SHORT_RUN)


@pytest.fixture
def run(overrides: list[str]) -> Point:
    def run_point(*more: str) -> PointResult:
        return extract(compose(*overrides, *more), show_progress=False)

    return run_point
