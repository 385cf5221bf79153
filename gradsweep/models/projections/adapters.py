"""The families of causal LMs that gradsweep knows, by `config.model_type`.

An adapter names the list of layers and, for each module to watch, its layout: the
projections that it computes and their output columns. A family is added by one entry
here and one tiny model in the tests, which then check it against autograd. Nothing here needs
torch, so that planning a sweep can tell a family that there is no entry for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gradsweep.models.projections.layouts import (
    Layout,
    codegen_qkv,
    contiguous_qkv,
    falcon_qkv,
    gate_up,
    gpt_bigcode_qkv,
    latent_kv,
    per_head_qkv,
    query_and_gate,
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
    other_mixers: Mapping[str, str] = field(default_factory=dict)
    """Dotted path below a layer to a mixer that is not softmax attention over the sequence -> its
    name. A layer that has one may lack attention; what lies beside the path is the mixer's own."""
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Dotted path below a layer to a flag -> projections that a layer with the flag takes from
    another weight, and has no matrix of its own for."""
    is_partial: bool = False
    """Whether a layer may lack all of its attention or all of its MLP: where a user names them."""


def _separate(attention: str = "self_attn", output: str = "o_proj") -> Modules:
    modules = {f"{attention}.{name}_proj": whole(name) for name in "qkv"}
    return modules | {f"{attention}.{output}": whole("o")}


def _fused(attention: str, qkv: str, layout: Layout, output: str) -> Modules:
    return {f"{attention}.{qkv}": layout, f"{attention}.{output}": whole("o")}


def _gated(mlp: str = "mlp") -> Modules:
    return {f"{mlp}.{name}_proj": whole(name) for name in ("gate", "up", "down")}


def _latent() -> Modules:
    """Multi-head latent attention; q has one matrix or, with `q_lora_rank`, two."""
    return {
        "self_attn.q_proj": whole("q"),
        "self_attn.q_a_proj": whole("q_a"),
        "self_attn.q_b_proj": whole("q"),
        "self_attn.kv_a_proj_with_mqa": whole("kv_a"),
        "self_attn.kv_b_proj": latent_kv,
        "self_attn.o_proj": whole("o"),
    }


def _plain(fc1: str, fc2: str) -> Modules:
    return {fc1: whole("fc1"), fc2: whole("fc2")}


_UNGATED = _plain("mlp.up_proj", "mlp.down_proj")
_GATE_UP_FUSED = {"mlp.gate_up_proj": gate_up, "mlp.down_proj": whole("down")}
_4H = _plain("mlp.dense_h_to_4h", "mlp.dense_4h_to_h")

_LLAMA_LIKE = Adapter("model.layers", _separate() | _gated())
_LLAMA_LIKE_UNGATED = Adapter("model.layers", _separate() | _UNGATED)
# Layers of these are sparse or dense by config; only a dense one has an MLP to measure.
_SPARSE = Adapter("model.layers", _separate() | _gated(), experts="mlp.experts")
_LATENT = Adapter("model.layers", _latent() | _gated(), experts="mlp.experts")
_LATENT_HYBRID = replace(_LATENT, other_mixers={"self_attn.conv1d": "delta attention"})
_GATED_HYBRID = Adapter(
    "model.layers",
    _separate() | {"self_attn.q_proj": query_and_gate} | _gated(),
    experts="mlp.experts",
    other_mixers={"linear_attn": "linear attention"},
)
_W123 = {"feed_forward.w1": whole("gate"), "feed_forward.w3": whole("up")} | {
    "feed_forward.w2": whole("down")
}
_SHORT_CONVOLUTIONS = Adapter(
    "model.layers",
    _separate(output="out_proj") | _W123,
    experts="feed_forward.experts",
    other_mixers={"conv": "short convolution"},
)
_MAMBA_HYBRID = Adapter(
    "model.layers",
    _separate() | _gated("feed_forward"),
    experts="feed_forward.experts",
    other_mixers={"mamba": "mamba"},
)
_SHARED_KV = Adapter(
    "model.layers",
    _separate() | _gated(),
    shared={
        "self_attn.is_kv_shared_layer": ("k", "v"),
        "self_attn.use_alternative_attention": ("v",),
    },
)

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
            "qwen2_5_vl_text",
            "qwen2_vl_text",
            "qwen3",
            "qwen3_vl_text",
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
            "qwen3_vl_moe_text",
        ],
        _SPARSE,
    ),
    **dict.fromkeys(
        ["granitemoe", "granitemoeshared"],
        Adapter("model.layers", _separate(), experts="block_sparse_moe.experts"),
    ),
    "llama4_text": Adapter(
        "model.layers", _separate() | _gated("feed_forward"), experts="feed_forward.experts"
    ),
    **dict.fromkeys(
        [
            "deepseek_v2",
            "deepseek_v3",
            "glm4_moe_lite",
            "minicpm3",
            "youtu",
        ],
        _LATENT,
    ),
    "kimi_linear": _LATENT_HYBRID,
    **dict.fromkeys(["qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"], _GATED_HYBRID),
    **dict.fromkeys(["lfm2", "lfm2_moe"], _SHORT_CONVOLUTIONS),
    **dict.fromkeys(["bamba", "falcon_h1", "jamba"], _MAMBA_HYBRID),
    "granitemoehybrid": Adapter(
        "model.layers",
        _separate(),
        experts="block_sparse_moe.experts",
        other_mixers={"mamba": "mamba"},
    ),
    "nemotron_h": Adapter(
        "model.layers",
        _separate("mixer"),
        other_mixers={
            "mixer.conv1d": "mamba",
            "mixer.experts": "experts",
            "mixer.up_proj": "feed-forward",
        },
    ),
    "olmo_hybrid": Adapter(
        "model.layers", _separate() | _gated(), other_mixers={"linear_attn": "linear attention"}
    ),
    "minimax": Adapter(
        "model.layers",
        _separate(),
        experts="mlp.experts",
        other_mixers={"self_attn.output_gate": "lightning attention"},
    ),
    **dict.fromkeys(["gemma3n_text", "gemma4_text"], _SHARED_KV),
    **dict.fromkeys(
        ["glm", "glm4", "glm4v_text"], Adapter("model.layers", _separate() | _GATE_UP_FUSED)
    ),
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
