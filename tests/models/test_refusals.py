"""A family that cannot be measured is refused by its config.json alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gradsweep.config import ModelConfig, ModelSource, SourceKind
from gradsweep.config.composition import checked
from gradsweep.errors import ModelError
from gradsweep.models.projections import check_family
from gradsweep.plan import make_plan

NAMED = {"layers": "model.layers", "q": "self_attn.q_proj"}


def folder(path: Path, config: Any) -> ModelConfig:
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    source = ModelSource(kind=SourceKind.folder, path=str(path))
    return ModelConfig(name="mine", source=source)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "rwkv"}, "model=mine: no projection adapter for model_type='rwkv'.*llama"),
        ({"model_type": "t5"}, "'t5' is an encoder-decoder"),
        ({"model_type": "marian", "is_encoder_decoder": True}, "'marian' is an encoder-decoder"),
        ({"model_type": "llava", "text_config": {"model_type": "rwkv"}}, "model_type='rwkv'"),
    ],
)
def test_an_unknown_family_is_refused_and_says_what_to_do(
    config: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=said):
        check_family(folder(tmp_path, config))


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "llama"},
        {"model_type": "llava", "text_config": {"model_type": "llama"}},
        {"model_type": "mistral3", "text_config": {}},
        {"architectures": ["LlamaForCausalLM"]},
        ["no object"],
    ],
)
def test_a_known_family_and_a_config_that_does_not_tell_pass(config: Any, tmp_path: Path) -> None:
    check_family(folder(tmp_path, config))


def test_named_modules_stand_for_a_family(tmp_path: Path) -> None:
    model = folder(tmp_path, {"model_type": "rwkv"})
    check_family(ModelConfig(name="mine", source=model.source, projections=dict(NAMED)))
    encoder_decoder = folder(tmp_path, {"model_type": "t5"})
    with pytest.raises(ModelError, match="encoder-decoder"):
        check_family(ModelConfig(name="t", source=encoder_decoder.source, projections=dict(NAMED)))


def test_a_model_of_the_hub_is_refused_where_its_config_is_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "models--some--model" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text('{"model_type": "rwkv"}')
    (tmp_path / "models--some--model" / "refs").mkdir()
    (tmp_path / "models--some--model" / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name, refused in (("some/model", True), ("other/model", False)):
        overrides = ["model=hub", f"model.source.hub_id={name}", "tracking=none"]
        if refused:
            with pytest.raises(ModelError, match="model_type='rwkv'"):
                checked(lambda line=overrides: make_plan(line, multirun=False))
        else:
            assert len(make_plan(overrides, multirun=False).points) == 1
