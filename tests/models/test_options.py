"""The options in conf/model: each composes, and no two models share a name."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gradsweep.config import ModelConfig
from gradsweep.errors import ConfigError
from gradsweep.models import resolve

CONF = Path(__file__).parents[2] / "conf" / "model"
OPTIONS = sorted(path.stem for path in CONF.glob("*.yaml"))
GENERIC = {"hub": ("hub_id", "owner/name"), "folder": ("path", "/m"), "gguf": ("path", "/m.gguf")}


def compose(option: str, **source: str) -> ModelConfig:
    values = OmegaConf.load(CONF / f"{option}.yaml")
    merged = OmegaConf.merge(OmegaConf.structured(ModelConfig), values, {"source": source})
    config = OmegaConf.to_object(merged)
    assert isinstance(config, ModelConfig)
    return config


@pytest.mark.parametrize("option", sorted(set(OPTIONS) - set(GENERIC)))
def test_option_composes_under_its_own_name(option: str) -> None:
    config = compose(option)
    assert config.name == option
    assert (CONF / f"{option}.yaml").read_text().startswith("# ")
    assert compose(option, kind="hub").source.hub_id, "every model has a hub alternative"


@pytest.mark.slow
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
    assert (CONF / f"{option}.yaml").read_text().startswith("# ")
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
