"""The weights of a checkpoint are those of its model: none is left out in silence."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from gradsweep import compose
from gradsweep.config import ModelConfig, ModelSource, SourceKind, Weights
from gradsweep.errors import ConfigError, ModelError
from gradsweep.identity import point_id
from gradsweep.models import load_model

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def folder(
    tmp_path: Path,
    tiny_llama: LlamaForCausalLM,
    make_tokenizer: Callable[..., PreTrainedTokenizerBase],
) -> Path:
    tiny_llama.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def change(folder: Path, added: Tensors | None = None, **config: object) -> ModelConfig:
    """The model with these tensors besides its own, and these fields in its config."""
    file = folder / "model.safetensors"
    save_file(load_file(file) | (added or {}), file, metadata={"format": "pt"})
    described = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(described | config))
    source = ModelSource(kind=SourceKind.folder, path=str(folder))
    return ModelConfig(name="tiny", source=source, max_length=64)


BIAS = {"model.layers.0.self_attn.q_proj.bias": torch.ones(16)}
VALUE_HEAD = {"v_head.summary.weight": torch.ones(1, 16)}


@pytest.mark.parametrize(
    ("added", "config", "named"),
    [
        ({}, {"num_hidden_layers": 1}, r"9 tensors .*model\.layers\.1\."),
        (BIAS, {}, r"1 tensors .*self_attn\.q_proj\.bias"),
        (VALUE_HEAD, {}, r"v_head\.summary\.weight"),
    ],
)
def test_what_the_model_has_no_place_for_is_an_error_that_names_it(
    added: Tensors, config: dict[str, object], named: str, folder: Path
) -> None:
    with pytest.raises(ModelError, match=named) as error:
        load_model(change(folder, added, **config), "cpu")
    assert "model.allow_unused_weights=true" in str(error.value)


def test_it_is_measured_without_them_where_that_is_asked_for(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = change(folder, BIAS | VALUE_HEAD)
    config.allow_unused_weights = True
    with caplog.at_level(logging.WARNING, logger="gradsweep"):
        loaded = load_model(config, "cpu")
    assert loaded.model.model.layers[0].self_attn.q_proj.bias is None
    assert "2 tensors" in caplog.text
    assert "v_head.summary.weight" in caplog.text


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_a_model_that_was_saved_with_its_wrapper_says_how_to_save_it(
    prefix: str, folder: Path
) -> None:
    config = change(folder)
    file = folder / "model.safetensors"
    wrapped = {prefix + name: tensor for name, tensor in load_file(file).items()}
    save_file(wrapped, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"lacks .* with {prefix} before .* inside its wrapper"):
        load_model(config, "cpu")


@pytest.mark.parametrize(
    ("renamed", "told"),
    [
        ("model.language_model.", r"It has others, as model\.language_model\..* save_pretrained$"),
        (None, r"for them: lm_head\.weight \(\[1\] instead of \[\d+, 16\]\), .*\. Take the config"),
    ],
    ids=["other names", "not there"],
)
def test_weights_that_are_missing_say_what_can_be_done(
    renamed: str | None, told: str, folder: Path
) -> None:
    config = change(folder)
    file = folder / "model.safetensors"
    weights = load_file(file)
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("model.")}
    others = {name: tensor for name, tensor in weights.items() if name.startswith("model.")}
    if renamed is not None:
        kept |= {name.replace("model.", renamed, 1): tensor for name, tensor in others.items()}
    else:
        kept = {"lm_head.weight": torch.ones(1)}
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=told):
        load_model(config, "cpu")


def test_a_head_beside_a_config_that_ties_it_is_used_and_told(
    folder: Path, tiny_llama: LlamaForCausalLM, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="gradsweep"):
        load_model(change(folder), "cpu")
        assert not caplog.records
        head = 3 * tiny_llama.lm_head.weight.detach()
        loaded = load_model(change(folder, {"lm_head.weight": head}), "cpu")
    assert torch.equal(loaded.model.lm_head.weight, head)
    assert "have a head of their own, which is used" in caplog.text


def test_a_config_that_asks_for_tuples_changes_nothing(folder: Path) -> None:
    model = load_model(change(folder, return_dict=False), "cpu").model
    assert model(input_ids=torch.tensor([[3, 4]])).logits.shape[:2] == (1, 2)


@pytest.mark.parametrize("asked", ["flash_attention_2", "flex_attention", "kernels/of-the-hub"])
def test_attention_is_the_same_whatever_is_installed(
    asked: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = change(folder)
    own = load_model(config, "cpu").model.config._attn_implementation
    config = change(folder, attn_implementation=asked)
    with caplog.at_level(logging.WARNING, logger="gradsweep"):
        assert load_model(config, "cpu").model.config._attn_implementation == own
    assert f"asks for {asked} attention" in caplog.text


def test_tables_that_older_releases_saved_do_not_count(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2)}
    load_model(change(folder, old), "cpu")
    assert not caplog.records


def test_an_adapter_beside_the_weights_is_refused(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"merge it .*or move adapter_config\.json out"):
        load_model(change(folder), "cpu")


class Quantizer:
    """Of weights that only run forward, as loaders leave it on the model."""

    quantization_config = None
    is_trainable = False
    pre_quantized = True


def test_weights_that_are_quantised_for_inference_only_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gradsweep.models import load

    original = load.load_weights

    def quantised(*args: object) -> LlamaForCausalLM:
        model = original(*args)  # type: ignore[arg-type]
        model.hf_quantizer = Quantizer()  # type: ignore[attr-defined]
        model.config.quantization_config = type("Q", (), {"quant_method": "mxfp4"})()
        return model  # type: ignore[return-value]

    monkeypatch.setattr(load, "load_weights", quantised)
    with pytest.raises(ModelError, match=r"quantised for inference only \(mxfp4\)"):
        load_model(change(folder), "cpu")


def test_random_weights_are_the_same_every_time_of_the_source_s_shapes_and_none_of_its_values(
    folder: Path,
) -> None:
    before = torch.random.get_rng_state()
    trained = {n: w + 1 for n, w in load_file(folder / "model.safetensors").items()}
    config = change(folder, trained)
    config.weights = Weights.random
    first, again = (dict(load_model(config, "cpu").model.named_parameters()) for _ in range(2))
    own = load_file(folder / "model.safetensors")
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, weight in own.items():
        assert torch.equal(first[name], again[name])
        assert first[name].shape == weight.shape
        assert not torch.isclose(first[name], weight).any()
    assert not any(weight.requires_grad for weight in first.values())


def test_random_weights_are_another_point_under_a_name_of_their_own() -> None:
    random, own = (
        compose(f"model.weights={kind}", "tracking=none") for kind in ("random", "pretrained")
    )
    assert random.axes.model == f"{own.axes.model} weights=random"
    assert point_id(random) != point_id(own)
    assert point_id(own) == point_id(compose("tracking=none"))
    for also in ("model.quantization=nf4", "model.device_map=auto"):
        with pytest.raises(ConfigError, match=r"model\.weights=random"):
            compose("model=qwen2_1.5b", "model.weights=random", also, "tracking=none")
