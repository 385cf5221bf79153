"""Weights of which a load would make others than the files say are refused by their headers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gradsweep.config import ModelConfig, ModelSource, SourceKind, Weights
from gradsweep.errors import ModelError
from gradsweep.models import load_model

SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
HEAD = "model.norm.weight"
Tensors = dict[str, torch.Tensor]


def load(folder: Path, weights: Weights = Weights.pretrained) -> Tensors:
    source = ModelSource(kind=SourceKind.folder, path=str(folder))
    config = ModelConfig(name="mine", source=source, max_length=64, weights=weights)
    return load_model(config, "cpu").model.state_dict()


def shard(folder: Path, second: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Both shards have the tensor `HEAD`, and the index names the first."""
    whole = folder / "model.safetensors"
    tensors = load_file(whole)
    whole.unlink()
    rest = {name: tensor for name, tensor in tensors.items() if "layers.1" in name}
    first = {name: tensor for name, tensor in tensors.items() if name not in rest}
    copies = (first, rest | {HEAD: second(tensors[HEAD])})
    for name, content in zip(SHARDS, copies, strict=True):
        save_file(content, folder / name, metadata={"format": "pt"})
    names = dict.fromkeys(rest, SHARDS[1]) | dict.fromkeys(first, SHARDS[0])
    index = {"metadata": {}, "weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def change(folder: Path, name: str, made: Callable[[torch.Tensor], torch.Tensor]) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors[name] = made(tensors.get(name, torch.ones(4, 4)))
    save_file(tensors, file, metadata={"format": "pt"})


def configure(folder: Path, **fields: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.mark.parametrize("other", [lambda t: t + 1, lambda t: t.bfloat16(), lambda t: t[None]])
def test_of_two_copies_that_differ_none_is_taken_by_chance(
    other: Callable[[torch.Tensor], torch.Tensor], model_folder: Path
) -> None:
    shard(model_folder, other)
    said = rf"model=mine: 1 tensors are in two .*{HEAD} \({SHARDS[0]} and {SHARDS[1]}\).*copy all"
    with pytest.raises(ModelError, match=said):
        load(model_folder)


def test_a_copy_of_the_same_values_is_no_error(model_folder: Path) -> None:
    whole = load(model_folder)
    shard(model_folder, torch.clone)
    again = load(model_folder)
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32])
def test_integers_are_no_weights(dtype: torch.dtype, model_folder: Path) -> None:
    name = "model.layers.1.self_attn.q_proj.weight"
    change(model_folder, name, lambda tensor: (tensor * 100).to(dtype))
    for fields in ({}, {"quantization_config": None}):
        configure(model_folder, **fields)
        with pytest.raises(ModelError, match=rf"model=mine: 1 weights .*no quantization.*{name}"):
            load(model_folder)
    assert load(model_folder, Weights.random), "of which none is read"


def test_masks_and_weights_of_any_width_are_taken(model_folder: Path) -> None:
    change(model_folder, "model.layers.0.attn.bias", lambda tensor: tensor.to(torch.uint8))
    for dtype in (torch.float64, torch.float16):
        change(model_folder, HEAD, lambda tensor, dtype=dtype: tensor.to(dtype))  # type: ignore[misc]
        assert load(model_folder)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"vocab_size": None}, r"model=mine: the config in .* cannot be loaded: .*'vocab_size'"),
        ({"hidden_act": "foo"}, r"hidden_act='foo' in config\.json is no activation.*silu"),
    ],
)
def test_a_field_of_the_config_is_named(
    fields: dict[str, Any], said: str, model_folder: Path
) -> None:
    configure(model_folder, **fields)
    with pytest.raises(ModelError, match=said):
        load(model_folder)
