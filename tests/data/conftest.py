"""Configs for the data tests: the shipped YAML of a dataset with a few fields changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gradsweep.config import (
    Config,
    CorrectnessConfig,
    CorrectnessKind,
    CotConfig,
    CotLevel,
    DatasetConfig,
    IrrelevantSource,
)

CONF = Path(__file__).resolve().parents[2] / "conf"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "layer_gradient"

MakeConfig = Callable[..., Config]


@pytest.fixture
def make_config() -> MakeConfig:
    """make_config("gsm8k", "detailed", "irrelevant", root=…, n_samples=…, seed=…, source=…)."""

    def make(
        dataset: str,
        cot: str = "none",
        correctness: str = "correct",
        *,
        source: str = "auto",
        n_samples: int | None = None,
        seed: int = 0,
        **fields: object,
    ) -> Config:
        merged = OmegaConf.merge(
            OmegaConf.structured(DatasetConfig),
            OmegaConf.load(CONF / "dataset" / f"{dataset}.yaml"),
            {name: os.fspath(v) if isinstance(v, Path) else v for name, v in fields.items()},
        )
        made = OmegaConf.to_object(merged)
        assert isinstance(made, DatasetConfig)
        return Config(
            dataset=made,
            cot=CotConfig(CotLevel[cot]),
            correctness=CorrectnessConfig(CorrectnessKind[correctness], IrrelevantSource[source]),
            n_samples=n_samples,
            seed=seed,
        )

    return make


@pytest.fixture
def shared_root() -> Path:
    """The paper's released files, on a machine that has them."""
    if not SHARED.is_dir():
        pytest.skip("the paper's released files (../shared/data/layer_gradient) are not here")
    return SHARED
