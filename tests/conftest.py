"""Shared by all tests: tiny models of every family, and shapes checked at run time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

# Every array that crosses a function border of the numerical rooms has the annotated shape.
with install_import_hook(["gradsweep.gradients", "gradsweep.spectra"], "beartype.beartype"):
    import gradsweep.gradients
    import gradsweep.spectra  # noqa: F401

from tiny_models import FAMILIES  # type: ignore[import-not-found]

SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Study material beside a developer's checkout; tests that need it skip without it."""


@pytest.fixture(scope="session")
def tiny_model() -> Callable[[str], torch.nn.Module]:
    """A tiny randomly initialised causal LM of a family, by the name in `tiny_models.FAMILIES`."""

    def build(family: str) -> torch.nn.Module:
        torch.manual_seed(0)
        return FAMILIES[family]()

    return build
