"""Configs for the data tests: the shipped YAML of a dataset with a few fields changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from helpers.paper_layout import write_small_release
from helpers.places import CONF, RELEASE
from omegaconf import OmegaConf

from gradsweep.config import (
    Config,
    CorrectnessConfig,
    CorrectnessKind,
    CotConfig,
    DatasetConfig,
    IrrelevantSource,
)
from gradsweep.data import LoadedSamples, load_samples

MakeConfig = Callable[..., Config]


COT_FIELDS = {"kind", "steps_kept", "match_length", "cot_path", "name", "ablate"}


OBJECTIVES = {"pair": "dpo", "group": "grpo"}


@cache
def _objective(name: str) -> dict[str, Any]:
    return dict(OmegaConf.load(CONF / "objective" / f"{name}.yaml"))


def _cot(level: str, fields: dict[str, object]) -> CotConfig:
    values = {name.removeprefix("cot_"): value for name, value in fields.items()}
    merged = OmegaConf.merge(OmegaConf.structured(CotConfig), {"level": level}, values)
    made = OmegaConf.to_object(merged)
    assert isinstance(made, CotConfig)
    return made


@pytest.fixture(scope="session")
def make_config() -> MakeConfig:
    """make_config("gsm8k", "detailed", "irrelevant", root=…, n_samples=…, seed=…, source=…).

    `source` is that of the irrelevant responses, `files_from` that of the paper's files. Fields
    of the CoT axis (kind, steps_kept, match_length, ablate, name; cot_path) go to it, others to
    the data.
    With `pair` or `group` for a correctness, the objective is one that takes these.
    """

    def make(
        dataset: str,
        cot: str = "none",
        correctness: str = "correct",
        *,
        objective: str | None = None,
        source: str = "auto",
        n_samples: int | None = None,
        seed: int = 0,
        **given: object,
    ) -> Config:
        if "files_from" in given:
            given["source"] = given.pop("files_from")
        cot_fields = {name: given.pop(name) for name in list(given) if name in COT_FIELDS}
        fields = {name: os.fspath(v) if isinstance(v, Path) else v for name, v in given.items()}
        merged = OmegaConf.merge(
            OmegaConf.structured(DatasetConfig),
            OmegaConf.load(CONF / "dataset" / f"{dataset}.yaml"),
            fields,
        )
        made = OmegaConf.to_object(merged)
        assert isinstance(made, DatasetConfig)
        return Config(
            dataset=made,
            cot=_cot(cot, cot_fields),
            objective=dict(_objective(objective or OBJECTIVES.get(correctness, "sft"))),
            correctness=CorrectnessConfig(CorrectnessKind[correctness], IrrelevantSource[source]),
            n_samples=n_samples,
            seed=seed,
        )

    return make


@pytest.fixture
def own(make_config: MakeConfig, tmp_path: Path) -> MakeConfig:
    """A config of the records given, in their order; other arguments are `make_config`'s."""

    def config(
        records: Sequence[Any], correctness: str = "correct", cot: str = "none", **fields: object
    ) -> Config:
        path = tmp_path / "mine.jsonl"
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
        fixed = {"path": path, "shuffle": False, "n_samples": 50}
        return make_config("jsonl", cot, correctness, **fixed, **fields)

    return config


@pytest.fixture(scope="session")
def loaded(make_config: MakeConfig) -> Callable[..., LoadedSamples]:
    """`load_samples` of `make_config`'s arguments, once for all tests that read a condition."""

    @cache
    def load(*condition: str, **fields: object) -> LoadedSamples:
        return load_samples(make_config(*condition, **fields))

    return load


@pytest.fixture(scope="session")
def shared_root() -> Path:
    """The paper's released files, on a machine that has them."""
    if not RELEASE.is_dir():
        pytest.skip("the paper's released files (../shared/data/layer_gradient) are not here")
    return RELEASE


@pytest.fixture(scope="session")
def paper_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every file of the study in the paper's layout: real ones where there are, else small ones."""
    root = tmp_path_factory.mktemp("layer_gradient")
    write_small_release(root)
    if RELEASE.is_dir():
        shutil.copytree(RELEASE, root, dirs_exist_ok=True)
    return root
