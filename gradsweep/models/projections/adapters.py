"""The families of causal LMs that gradsweep knows, by `config.model_type`.

An adapter names the list of layers and, for each module to watch, its layout: the
projections that it computes and their output columns. A family is added by one entry
here and one tiny model in the tests, which then check it against autograd.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradsweep.models.projections.layouts import (
    Layout,
    codegen_qkv,
    contiguous_qkv,
    falcon_qkv,
    gate_up,
    gpt_bigcode_qkv,
    per_head_qkv,
    whole,
)

Modules = dict[str, Layout]


@dataclass(frozen=True)
class Adapter:
    """How one family lays out its layers and projections."""

    layers: str
    """Dotted path from the causal LM to the list of its layers."""
    modules: Modules
    """Dotted path below a layer -> layout of that module's output."""
    experts: str | None = None
    """Dotted path below a layer to its experts, in families with sparse MLPs."""


def _separate(attention: str = "self_attn", output: str = "o_proj") -> Modules:
    modules = {f"{attention}.{name}_proj": whole(name) for name in "qkv"}
    return modules | {f"{attention}.{output}": whole("o")}


def _fused(attention: str, qkv: str, layout: Layout, output: str) -> Modules:
    return {f"{attention}.{qkv}": layout, f"{attention}.{output}": whole("o")}


def _gated(mlp: str = "mlp") -> Modules:
    return {f"{mlp}.{name}_proj": whole(name) for name in ("gate", "up", "down")}


def _plain(fc1: str, fc2: str) -> Modules:
    return {fc1: whole("fc1"), fc2: whole("fc2")}


_UNGATED = _plain("mlp.up_proj", "mlp.down_proj")
_GATE_UP_FUSED = {"mlp.gate_up_proj": gate_up, "mlp.down_proj": whole("down")}
_4H = _plain("mlp.dense_h_to_4h", "mlp.dense_4h_to_h")

_LLAMA_LIKE = Adapter("model.layers", _separate() | _gated())
_LLAMA_LIKE_UNGATED = Adapter("model.layers", _separate() | _UNGATED)
# Layers of these are sparse or dense by config; only a dense one has an MLP to measure.
_SPARSE = Adapter("model.layers", _separate() | _gated(), experts="mlp.experts")

ADAPTERS: dict[str, Adapter] = {
    **dict.fromkeys(
        [
            "llama",
            "cohere",
            "cohere2",
            "cwm",
            "ernie4_5",
            "exaone4",
            "gemma",
            "gemma2",
            "gemma3_text",
            "granite",
            "helium",
            "hunyuan_v1_dense",
            "hyperclovax",
            "ministral",
            "ministral3",
            "mistral",
            "olmo",
            "olmo2",
            "olmo3",
            "qwen2",
            "qwen3",
            "seed_oss",
            "smollm3",
            "stablelm",
            "vaultgemma",
        ],
        _LLAMA_LIKE,
    ),
    **dict.fromkeys(["apertus", "arcee", "jais2", "nemotron"], _LLAMA_LIKE_UNGATED),
    **dict.fromkeys(
        [
            "dots1",
            "ernie4_5_moe",
            "flex_olmo",
            "glm4_moe",
            "gpt_oss",
            "minimax_m2",
            "mixtral",
            "olmoe",
            "phimoe",
            "qwen2_moe",
            "qwen3_moe",
        ],
        _SPARSE,
    ),
    "granitemoe": Adapter("model.layers", _separate(), experts="block_sparse_moe.experts"),
    **dict.fromkeys(["glm", "glm4"], Adapter("model.layers", _separate() | _GATE_UP_FUSED)),
    "phi": Adapter("model.layers", _separate(output="dense") | _plain("mlp.fc1", "mlp.fc2")),
    "phi3": Adapter(
        "model.layers",
        _fused("self_attn", "qkv_proj", contiguous_qkv, "o_proj") | _GATE_UP_FUSED,
    ),
    "starcoder2": Adapter("model.layers", _separate() | _plain("mlp.c_fc", "mlp.c_proj")),
    "nanochat": Adapter("model.layers", _separate() | _plain("mlp.fc1", "mlp.fc2")),
    "opt": Adapter("model.decoder.layers", _separate(output="out_proj") | _plain("fc1", "fc2")),
    "biogpt": Adapter("biogpt.layers", _separate(output="out_proj") | _plain("fc1", "fc2")),
    "gptj": Adapter(
        "transformer.h", _separate("attn", "out_proj") | _plain("mlp.fc_in", "mlp.fc_out")
    ),
    "gpt_neo": Adapter(
        "transformer.h",
        _separate("attn.attention", "out_proj") | _plain("mlp.c_fc", "mlp.c_proj"),
    ),
    "gpt2": Adapter(
        "transformer.h",
        _fused("attn", "c_attn", contiguous_qkv, "c_proj") | _plain("mlp.c_fc", "mlp.c_proj"),
    ),
    "gpt_bigcode": Adapter(
        "transformer.h",
        _fused("attn", "c_attn", gpt_bigcode_qkv, "c_proj") | _plain("mlp.c_fc", "mlp.c_proj"),
    ),
    "codegen": Adapter(
        "transformer.h",
        _fused("attn", "qkv_proj", codegen_qkv, "out_proj") | _plain("mlp.fc_in", "mlp.fc_out"),
    ),
    "mpt": Adapter(
        "transformer.blocks",
        _fused("attn", "Wqkv", contiguous_qkv, "out_proj") | _plain("ffn.up_proj", "ffn.down_proj"),
    ),
    "dbrx": Adapter(
        "transformer.blocks",
        _fused("norm_attn_norm.attn", "Wqkv", contiguous_qkv, "out_proj"),
        experts="ffn.experts",
    ),
    "gpt_neox": Adapter(
        "gpt_neox.layers", _fused("attention", "query_key_value", per_head_qkv, "dense") | _4H
    ),
    "gpt_neox_japanese": Adapter(
        "gpt_neox_japanese.layers",
        _fused("attention", "query_key_value", per_head_qkv, "dense") | _4H,
    ),
    "persimmon": Adapter(
        "model.layers", _fused("self_attn", "query_key_value", per_head_qkv, "dense") | _4H
    ),
    "bloom": Adapter(
        "transformer.h", _fused("self_attention", "query_key_value", per_head_qkv, "dense") | _4H
    ),
    "falcon": Adapter(
        "transformer.h", _fused("self_attention", "query_key_value", falcon_qkv, "dense") | _4H
    ),
}
"""`config.model_type` of the text model -> adapter."""

WRAPPERS: dict[str, str] = {
    "gemma3": "model.language_model",
    "llava": "model.language_model",
    "mistral3": "model.language_model",
    "smolvlm": "model.text_model",
    "idefics3": "model.text_model",
}
"""`config.model_type` of a multimodal model -> dotted path to its text model, whose layers are
found there by the adapter of the text config (`model.layers` becomes `<path>.layers`)."""
