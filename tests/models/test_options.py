"""The options in conf/model: each composes, and no two models share a name."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import Any

import pytest
from helpers.places import CONF
from omegaconf import OmegaConf

from gradsweep.config import (
    DeviceMap,
    Dtype,
    ModelConfig,
    ModelSource,
    Prompt,
    Quantization,
    SourceKind,
)
from gradsweep.errors import ConfigError
from gradsweep.models import resolve
from gradsweep.models.footprint import BITS_PER_WEIGHT, model_weights_gb, needs, weights_gb

MODELS = CONF / "model"
OPTIONS = sorted(path.stem for path in MODELS.glob("*.yaml"))
GENERIC = {"hub": ("hub_id", "owner/name"), "folder": ("path", "/m"), "gguf": ("path", "/m.gguf")}


def compose(option: str, **source: str) -> ModelConfig:
    values = OmegaConf.load(MODELS / f"{option}.yaml")
    merged = OmegaConf.merge(OmegaConf.structured(ModelConfig), values, {"source": source})
    config = OmegaConf.to_object(merged)
    assert isinstance(config, ModelConfig)
    return config


@pytest.mark.parametrize("option", sorted(set(OPTIONS) - set(GENERIC)))
def test_option_composes_under_its_own_name(option: str) -> None:
    config = compose(option)
    assert config.name == option
    assert (MODELS / f"{option}.yaml").read_text().startswith("# ")
    assert compose(option, kind="hub").source.hub_id, "every model has a hub alternative"


@pytest.mark.parametrize("option", ["smollm2_135m_instruct", "gemma3_270m"])
def test_embedded_model_is_found_in_its_package(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = compose(option).source
    try:
        importlib.metadata.distribution(str(source.package))
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"not installed: {source.install}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    resolved = resolve(source)  # compares the SHA-256
    assert resolved.gguf_file is not None
    (Path(resolved.location) / resolved.gguf_file).stat()
    for joined in tmp_path.rglob("*.gguf"):
        joined.unlink()


@pytest.mark.parametrize("option", GENERIC)
def test_generic_option_needs_its_field_and_is_named_after_it(option: str) -> None:
    field, value = GENERIC[option]
    with pytest.raises(ConfigError, match=f"model.source.{field} is needed"):
        compose(option)
    assert (MODELS / f"{option}.yaml").read_text().startswith("# ")
    config = compose(option, **{field: value})
    other = compose(option, **{field: f"/other{value}"})
    assert config.name
    assert config.name != other.name
    assert not {config.name, other.name} & set(OPTIONS)
    assert "/" not in config.name


def test_one_folder_has_one_name_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative, absolute = (
        compose("folder", path="a/run"),
        compose("folder", path=f"{tmp_path}/a/run"),
    )
    assert relative.name == absolute.name != compose("folder", path="b/run").name
    assert relative.name.startswith("run-")


@pytest.mark.parametrize("option", sorted(set(OPTIONS) - set(GENERIC)))
def test_option_says_what_the_model_needs(option: str) -> None:
    config = compose(option, kind="hub")
    assert config.parameters is not None
    line = needs(config)
    assert f"{config.parameters / 1e9:.2f} B parameters" in line
    first = (MODELS / f"{option}.yaml").read_text().splitlines()[0].lower()
    from_hub = OmegaConf.load(MODELS / f"{option}.yaml").source.kind == "hub"
    if from_hub:  # the others are loaded from their package unless asked otherwise
        assert config.source.gated == ("gated" in first) == ("HF_TOKEN" in line)
    named = re.search(r"(\d+(?:\.\d+)?)(b|m)(_instruct)?$", option)
    if named:
        billions = float(named[1]) / (1000 if named[2] == "m" else 1)
        assert config.parameters / 1e9 == pytest.approx(billions, rel=0.5)


@pytest.mark.parametrize("option", sorted(set(OPTIONS) - set(GENERIC)))
def test_instruct_models_get_a_chat_prompt_and_base_models_none(option: str) -> None:
    assert compose(option).prompt is (Prompt.chat if "instruct" in option else Prompt.plain)


def test_an_embedded_model_asks_for_no_account() -> None:
    config = compose("gemma3_270m")
    assert config.source.gated
    assert "HF_TOKEN" not in needs(config)


@pytest.mark.parametrize(("kind", "gigabytes"), [("float32", 4.0), ("float16", 2.0)])
def test_memory_of_weights_is_parameters_times_their_bytes(kind: str, gigabytes: float) -> None:
    assert weights_gb(1_000_000_000, kind) == gigabytes


def test_every_dtype_has_an_estimate() -> None:
    assert {dtype.value for dtype in Dtype} <= set(BITS_PER_WEIGHT)


def test_an_estimate_follows_the_choice() -> None:
    source = ModelSource(kind=SourceKind.folder, path="/m")

    def big(**fields: Any) -> ModelConfig:
        return ModelConfig(name="m", source=source, parameters=8 * 10**9, **fields)

    sizes = {"float32": 32.0, "bfloat16": 16.0, "float16": 16.0}
    for dtype in Dtype:
        assert model_weights_gb(big(dtype=dtype)) == sizes[dtype.name]
    four = big(dtype=Dtype.bfloat16, quantization=Quantization.nf4)
    assert model_weights_gb(four) == pytest.approx(4.5)
    assert "4.5 GB in 4 bits (chosen)" in needs(four)
    assert "16.0 GB in 16 bits (chosen)" in needs(big(dtype=Dtype.float16))
    assert needs(big()).count("(chosen)") == 1
    assert model_weights_gb(ModelConfig(name="m", source=source)) is None


GPU_GB = 80
"""Of an A100 or H100: what the launchers' profiles are made for."""


@pytest.mark.parametrize("option", sorted(set(OPTIONS) - set(GENERIC)))
def test_only_models_that_one_gpu_does_not_hold_are_spread(option: str) -> None:
    config = compose(option)
    too_large = (model_weights_gb(config) or 0) > GPU_GB
    assert config.device_map is (DeviceMap.auto if too_large else None)
