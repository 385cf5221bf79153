"""A real SLURM, and grids of tiny models on it whose jobs end with their test."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.slurm_grid import Grid, squeue
from safetensors.torch import load_file, save_file


@pytest.fixture(scope="session")
def two_models(saved_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides of an axis with two models: the tiny one, and one with other weights."""
    copy = tmp_path_factory.mktemp("models") / "another-llama"
    shutil.copytree(saved_model, copy)
    weights = copy / "model.safetensors"
    tensors = load_file(weights)
    last_norm = "model.norm.weight"
    save_file(tensors | {last_norm: 2 * tensors[last_norm]}, weights, {"format": "pt"})
    return ["model=folder", f"model.source.path={saved_model},{copy}"]


@pytest.fixture(scope="session")
def one_model(saved_model: Path) -> list[str]:
    return ["model=folder", f"model.source.path={saved_model}"]


@pytest.fixture(scope="module")
def make_grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Grid]]:
    made: list[Grid] = []

    def make(*overrides: str) -> Grid:
        results = tmp_path_factory.mktemp("grid") / "results"
        made.append(Grid(results, (*overrides, "tracking=none")))
        return made[-1]

    yield make
    submitted = {element for grid in made for element in grid.elements()}
    if submitted and (left := submitted & set(squeue())):
        subprocess.run(["scancel", *left], check=True)
