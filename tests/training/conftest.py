"""The tiny model as trainers have it, and training points on it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_point import SHORT_RUN, tiny_point
from helpers.training import with_dropout

from gradsweep import compose, extract
from gradsweep.extraction import PointResult

Point = Callable[..., PointResult]


@pytest.fixture
def llama(tiny_llama: Any) -> Any:
    """A test's own copy, in train mode, with dropout."""
    return with_dropout(copy.deepcopy(tiny_llama))


@pytest.fixture
def tokenizer(make_tokenizer: Callable[..., Any]) -> Any:
    return make_tokenizer()


@pytest.fixture
def overrides(saved_model: Path, tmp_path: Path) -> list[str]:
    return tiny_point(saved_model, tmp_path / "results", *SHORT_RUN)


@pytest.fixture
def run(overrides: list[str]) -> Point:
    def run_point(*more: str) -> PointResult:
        return extract(compose(*overrides, *more), show_progress=False)

    return run_point
