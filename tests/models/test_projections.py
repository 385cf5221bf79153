"""What a model of a family offers, what it lacks, and how much of it is measured."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
import transformers as hf
from helpers.places import DOCS
from helpers.tiny_models import FAMILIES, SHARED_KEYS, SPARSE, layers_of, projections_of
from helpers.tiny_multimodal import MULTIMODAL

from gradsweep.errors import ModelError
from gradsweep.models.projections import (
    ADAPTERS,
    WRAPPERS,
    available_projections,
    coverage,
    find_projections,
)
from gradsweep.records import ATTENTION_PROJECTIONS

Model = torch.nn.Module
NEEDS_TIMM = {"gemma3n"}
"""Wrappers whose towers for images and sound are in a package that is not installed here."""


def test_every_adapter_is_tested_and_documented(tiny_model: Callable[[str], Model]) -> None:
    configs = [tiny_model(family).config for family in FAMILIES]
    texts = {config.get_text_config().model_type for config in configs}  # type: ignore[union-attr,operator]
    texts |= {build.args[1] for build in MULTIMODAL.values()}
    assert texts == set(ADAPTERS)
    wrappers = {config.model_type for config in configs}  # type: ignore[union-attr]
    wrappers |= {build.args[0] for build in MULTIMODAL.values()}
    assert wrappers >= set(WRAPPERS) - NEEDS_TIMM
    guide = (DOCS / "models.md").read_text()
    assert [name for name in [*ADAPTERS, *WRAPPERS] if f"`{name}`" not in guide] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_all_that_a_family_has_is_offered(family: str, tiny_model: Callable[[str], Model]) -> None:
    model, names = tiny_model(family), projections_of(family)
    assert available_projections(model) == names
    sites = find_projections(model, names)
    assert [site.layer for site in sites] == sorted(site.layer for site in sites)
    found = {n: tuple(site.layer for site in sites if n in site.columns) for n in names}
    assert found == {name: layers_of(family, name) for name in names}


@pytest.mark.parametrize("family", SPARSE)
def test_experts_are_refused_by_name(family: str, tiny_model: Callable[[str], Model]) -> None:
    with pytest.raises(ModelError, match=r"gate, up.*experts.*not measured; projections there: \w"):
        find_projections(tiny_model(family), ["q", "gate", "up"])


def test_another_mixer_is_said_where_no_layer_has_what_is_asked() -> None:
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    only = hf.Lfm2ForCausalLM(hf.Lfm2Config(**sizes, **heads, layer_types=["conv", "conv"]))
    assert available_projections(only) == ("gate", "up", "down")
    with pytest.raises(ModelError, match=r"q, k is in none of the 2 layers.* short convolution"):
        find_projections(only, ["q", "k"])


@pytest.mark.parametrize(("family", "asked"), [("gpt2_conv1d", "gate"), ("llama", "fc1")])
def test_a_missing_projection_lists_what_there_is(
    family: str, asked: str, tiny_model: Callable[[str], Model]
) -> None:
    there = ", ".join(projections_of(family))
    with pytest.raises(ModelError, match=f"{asked} not found in layer 0; projections .*: {there}"):
        find_projections(tiny_model(family), ["q", asked])


def test_dense_layers_of_a_sparse_family_are_measured_when_all_are() -> None:
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_experts": 4}
    dense = hf.Qwen3MoeForCausalLM(
        hf.Qwen3MoeConfig(**sizes, **heads, head_dim=8, mlp_only_layers=[0, 1])
    )
    assert available_projections(dense) == ("q", "k", "v", "o", "gate", "up", "down")
    mixed = hf.Qwen3MoeForCausalLM(
        hf.Qwen3MoeConfig(**sizes, **heads, head_dim=8, mlp_only_layers=[0])
    )
    assert available_projections(mixed) == ("q", "k", "v", "o")
    with pytest.raises(ModelError, match="layer 1 is a sparse mixture of experts"):
        find_projections(mixed, ["up"])


def test_a_fused_module_of_unexpected_width_is_refused(
    tiny_model: Callable[[str], Model],
) -> None:
    model = tiny_model("phi3_fused")
    model.config.num_key_value_heads = 4  # type: ignore[union-attr]
    with pytest.raises(ModelError, match=r"qkv_proj of layer 0 has 48 outputs.*q 24, k 24, v 24"):
        find_projections(model, "qkv")


def test_encoder_decoders_and_headless_models_are_refused(
    tiny_model: Callable[[str], Model],
) -> None:
    t5 = hf.T5ForConditionalGeneration(
        hf.T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    )
    with pytest.raises(ModelError, match="'t5' is an encoder-decoder"):
        find_projections(t5, "q")
    with pytest.raises(ModelError, match=r"LlamaModel.*no layers at model\.layers, only embed_tok"):
        find_projections(tiny_model("llama").get_submodule("model"), "q")


def test_an_unknown_multimodal_wrapper_is_refused(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llava_multimodal")
    model.config.model_type = "telescope"  # type: ignore[union-attr]
    with pytest.raises(ModelError, match=r"'telescope'.*model\.layers.*gemma3"):
        find_projections(model, "q")


def matrices(model: Model, ending: str) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if name.endswith(ending))


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_covers_exactly_its_weight_matrices(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    """All of the attention's together are whole matrices, fused or not, in every layer."""
    model = tiny_model(family)
    names = [name for name in projections_of(family) if name in ATTENTION_PROJECTIONS]
    sites = find_projections(model, names)
    found = coverage(model, sites)
    assert found.measured == sum(site.module.weight.numel() for site in sites)  # type: ignore[misc,operator]
    assert found.total == sum(p.numel() for p in set(model.parameters()))
    assert 0 < found.share < 1
    by_name = [coverage(model, find_projections(model, [name])).measured for name in names]
    assert sum(by_name) == found.measured


def test_a_slice_of_a_fused_matrix_counts_as_a_slice(tiny_model: Callable[[str], Model]) -> None:
    phi3, gpt2 = tiny_model("phi3_fused"), tiny_model("gpt2_conv1d")
    assert coverage(phi3, find_projections(phi3, "kv")).measured == 3 * (12 + 12) * 24
    assert coverage(phi3, find_projections(phi3, ["up"])).measured == 3 * 40 * 24
    assert coverage(gpt2, find_projections(gpt2, "q")).measured == 3 * 24 * 24
    assert coverage(gpt2, find_projections(gpt2, ["fc2"])).measured == 3 * 24 * 96


def test_a_weight_that_two_modules_use_is_refused(tiny_model: Callable[[str], Model]) -> None:
    """Each of them would show a part of its gradient."""
    model = tiny_model("llama")
    layers = model.get_submodule("model.layers")
    layers[1].self_attn.q_proj.weight = layers[0].self_attn.q_proj.weight  # type: ignore[index]
    both = r"layers\.0\.self_attn\.q_proj and model\.layers\.1\.self_attn\.q_proj have one weight"
    with pytest.raises(ModelError, match=both):
        find_projections(model, "qk")
    assert len(find_projections(model, "kvo")) == 9


def test_a_weight_shared_with_what_is_not_measured_is_refused(
    tiny_model: Callable[[str], Model],
) -> None:
    model = tiny_model("llama")
    attention = model.get_submodule("model.layers.2.self_attn")
    attention.k_proj.weight = attention.q_proj.weight  # type: ignore[union-attr]
    with pytest.raises(ModelError, match=r"2\.self_attn\.q_proj and .*k_proj have one weight"):
        find_projections(model, "q")


def test_a_module_of_two_layers_is_refused(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    layers = model.get_submodule("model.layers")
    layers[2].self_attn = layers[0].self_attn  # type: ignore[index]
    with pytest.raises(ModelError, match=r"0\.self_attn\.q_proj is one module of layer 0 and .*2"):
        find_projections(model, "q")


def test_coverage_reads_as_a_sentence(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    sites = find_projections(model, ["down", "q", "o", "k"])
    measured = 3 * (3 * 24 * 24 + 24 * 40)
    total = matrices(model, "weight")
    assert str(coverage(model, sites)) == (
        f"measuring q k o down in 3 layers: {measured / 1e3:.1f} k of {total / 1e3:.1f} k "
        f"parameters ({100 * measured / total:.0f} %)"
    )


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("qwen3_next", "measuring q k v o in 2 of 3 layers.*; not measured: linear attention in 1"),
        ("falcon_h1", r"in 3 layers: .*\(\d+ %\); not measured: mamba in 3 layers"),
        ("nemotron_h", "in 1 of 3 layers: .*: mamba in 1 layer, feed-forward in 1 layer"),
        ("gemma3n", r"in 3 layers: .*: k v \(shared\) in 1 layer"),
    ],
)
def test_coverage_names_what_is_not_measured(
    family: str, said: str, tiny_model: Callable[[str], Model]
) -> None:
    model = tiny_model(family)
    assert re.search(said, str(coverage(model, find_projections(model, "qkvo"))))


@pytest.mark.parametrize("family", SHARED_KEYS)
def test_shared_keys_are_not_said_where_they_are_not_asked(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    model = tiny_model(family)
    assert "shared" not in str(coverage(model, find_projections(model, "qo")))
