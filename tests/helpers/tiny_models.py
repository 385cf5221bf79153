"""Tiny random causal LMs, at least one of every family and layout that gradsweep must get right."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest

from gradsweep.records import MLP_PROJECTIONS
from helpers.tiny_multimodal import multimodal
from helpers.tiny_sizes import (
    CONVOLUTION,
    DELTA,
    EXPERTS,
    MAMBA,
    MODERN,
    NORMED,
    PER_LAYER,
    SHARED_EXPERTS,
    SIZES,
    SLIDING,
    Build,
    classic,
    latent,
    modern,
    tiny,
)
from helpers.tiny_sizes import VOCABULARY as VOCABULARY
from helpers.tiny_sizes import randomised as randomised

GATED: dict[str, Build] = {
    "llama": partial(tiny, "llama", MODERN),
    "llama_gqa": modern("llama"),
    "llama_mqa": modern("llama", num_key_value_heads=1),
    "cohere": modern("cohere", use_qk_norm=True),
    "cohere2": modern("cohere2", sliding_window=8),
    "cwm": modern("cwm", sliding_window=8, bos_token_id=1, eos_token_id=2),
    "ernie4_5": modern("ernie4_5"),
    "exaone4": modern("exaone4", sliding_window=8),
    "gemma": modern("gemma", **NORMED),
    "gemma2": modern("gemma2", **NORMED, query_pre_attn_scalar=8, sliding_window=8),
    # q/k norms after the projection, a sliding window, tied embeddings, a logit softcap.
    "gemma3": modern(
        "gemma3_text",
        head_dim=10,
        num_key_value_heads=1,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        final_logit_softcapping=5.0,
    ),
    "gemma3_multimodal": partial(multimodal, "gemma3", "gemma3_text", mm_tokens_per_image=4),
    "granite": modern("granite"),
    "helium": modern("helium"),
    "hunyuan": modern("hunyuan_v1_dense"),
    "hyperclovax": modern("hyperclovax"),
    "llava_multimodal": partial(multimodal, "llava", "llama"),
    "ministral": modern("ministral", sliding_window=8),
    "ministral3": modern("ministral3"),
    "mistral": modern("mistral", sliding_window=8),
    "mistral3_multimodal": partial(multimodal, "mistral3", "mistral"),
    "olmo": modern("olmo", clip_qkv=8.0),
    "olmo2": modern("olmo2"),
    "olmo3": modern("olmo3", sliding_window=8),
    "qwen2_biases": modern("qwen2"),
    "qwen3_norms": modern("qwen3", **NORMED),
    "seed_oss": modern("seed_oss"),
    "smollm3": modern("smollm3"),
    "smolvlm_multimodal": partial(multimodal, "smolvlm", "llama"),
    "idefics3_multimodal": partial(multimodal, "idefics3", "llama"),
    "stablelm": modern("stablelm", qk_layernorm=True),
    "vaultgemma": modern("vaultgemma", **NORMED, query_pre_attn_scalar=8),
    # Multi-head latent attention, with a query of two matrices.
    "minicpm3": latent("minicpm3"),
    "youtu": latent("youtu"),
    # Hybrids, whose first layer has another mixer, or every layer one beside attention.
    "qwen3_5": modern("qwen3_5_text", **DELTA),
    "qwen3_next_dense": modern("qwen3_next", **SHARED_EXPERTS, **DELTA, mlp_only_layers=[0, 1, 2]),
    "olmo_hybrid": modern("olmo_hybrid", **DELTA),
    "lfm2": modern("lfm2", **CONVOLUTION, block_auto_adjust_ff_dim=False),
    "falcon_h1": modern("falcon_h1", **MAMBA, mamba_d_ssm=48),
    "bamba": modern("bamba", **MAMBA, attn_layer_indices=[1, 2]),
    "jamba": modern(
        "jamba",
        num_experts=1,
        attn_layer_period=2,
        attn_layer_offset=1,
        mamba_d_state=4,
        mamba_dt_rank=4,
    ),
    # The last layer takes keys and values from the first.
    "gemma3n": modern(
        "gemma3n_text",
        **SLIDING,
        **PER_LAYER,
        num_kv_shared_layers=1,
        altup_num_inputs=2,
        laurel_rank=4,
        activation_sparsity_pattern=[0.0, 0.5, 0.0],
    ),
    # And the second has one matrix for keys and values.
    "gemma4": modern(
        "gemma4_text",
        **SLIDING,
        **PER_LAYER,
        num_kv_shared_layers=1,
        global_head_dim=8,
        attention_k_eq_v=True,
    ),
    "glm_fused_gate_up": modern("glm"),
    "glm4_fused_gate_up": modern("glm4"),
    "phi3_fused": modern("phi3"),
}
"""Families with gate, up and down."""

PLAIN: dict[str, Build] = {
    "apertus": modern("apertus"),
    "arcee": modern("arcee"),
    "jais2": modern("jais2"),
    "nemotron": modern("nemotron"),
    "nanochat": modern("nanochat"),
    "phi": partial(tiny, "phi", MODERN, num_attention_heads=3),
    "starcoder2": modern("starcoder2"),
    "opt": classic("opt", ffn_dim=40, word_embed_proj_dim=24),
    "biogpt": classic("biogpt", intermediate_size=40),
    "gptj": classic("gptj", rotary_dim=4),
    "gpt_neo": classic("gpt_neo", attention_types=[[["global", "local", "global"], 1]]),
    "gpt2_conv1d": classic("gpt2"),
    "gpt_bigcode_multi_query": classic("gpt_bigcode", multi_query=True),
    "gpt_bigcode_multi_head": classic("gpt_bigcode", multi_query=False),
    "codegen": classic("codegen", rotary_dim=4),
    "mpt": classic("mpt"),
    "gpt_neox_interleaved": partial(tiny, "gpt_neox", MODERN),
    "gpt_neox_japanese": partial(tiny, "gpt_neox_japanese", SIZES),
    "persimmon": partial(tiny, "persimmon", MODERN, num_attention_heads=3),
    "bloom_interleaved": classic("bloom"),
    "falcon_7b": classic("falcon", multi_query=True, alibi=False),
    "falcon_40b": classic(
        "falcon", new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=2
    ),
    "falcon_11b": classic(
        "falcon", new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=1
    ),
    "falcon_rw": classic("falcon", multi_query=False, alibi=True, parallel_attn=False, bias=True),
}
"""Families with fc1 and fc2."""

SPARSE: dict[str, Build] = {
    "dots1": modern("dots1", **EXPERTS, n_routed_experts=4, n_shared_experts=1),
    "ernie4_5_moe": modern("ernie4_5_moe", **EXPERTS),
    "flex_olmo": modern("flex_olmo", **EXPERTS),
    "glm4_moe": modern("glm4_moe", **EXPERTS, n_routed_experts=4),
    "gpt_oss": modern("gpt_oss", **EXPERTS, sliding_window=8),
    "granitemoe": modern("granitemoe", **EXPERTS),
    "minimax_m2": modern("minimax_m2", **EXPERTS),
    "mixtral": modern("mixtral", **EXPERTS),
    "olmoe": modern("olmoe", **EXPERTS),
    "phimoe": modern("phimoe", **EXPERTS),
    "qwen2_moe": modern("qwen2_moe", **EXPERTS, shared_expert_intermediate_size=20),
    "qwen3_moe": modern("qwen3_moe", **EXPERTS),
    "granitemoeshared": modern("granitemoeshared", **SHARED_EXPERTS),
    "llama4": modern(
        "llama4_text",
        **EXPERTS,
        intermediate_size_mlp=40,
        attention_chunk_size=8,
        interleave_moe_layer_step=2,
    ),
    "deepseek_v2": latent("deepseek_v2", **SHARED_EXPERTS, first_k_dense_replace=1),
    "deepseek_v2_lite": latent(
        "deepseek_v2", **SHARED_EXPERTS, first_k_dense_replace=1, q_lora_rank=None
    ),
    "deepseek_v3": latent("deepseek_v3", **SHARED_EXPERTS, first_k_dense_replace=1),
    "glm4_moe_lite": latent("glm4_moe_lite", **SHARED_EXPERTS),
    "kimi_linear": latent(
        "kimi_linear",
        **SHARED_EXPERTS,
        linear_num_heads=2,
        linear_head_dim=8,
        linear_conv_kernel_dim=3,
        layer_types=["linear_attention", "full_attention", "full_attention"],
    ),
    "qwen3_next": modern("qwen3_next", **SHARED_EXPERTS, **DELTA),
    "qwen3_5_moe": modern("qwen3_5_moe_text", **SHARED_EXPERTS, **DELTA),
    "lfm2_moe": modern("lfm2_moe", **EXPERTS, **CONVOLUTION, num_dense_layers=1),
    "minimax": modern("minimax", **EXPERTS, layer_types=DELTA["layer_types"], block_size=8),
    "granitemoehybrid": modern(
        "granitemoehybrid",
        **SHARED_EXPERTS,
        **MAMBA,
        layer_types=["mamba", "attention", "attention"],
    ),
    "dbrx": partial(
        tiny,
        "dbrx",
        {"vocab_size": VOCABULARY, "d_model": 24, "n_heads": 4, "n_layers": 3, "max_seq_len": 128},
        attn_config={"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
        ffn_config={"hidden_size": 24, "ffn_hidden_size": 20},
    ),
}
"""Families with a mixture of experts in some layer: attention only."""

ATTENTION_ALONE: dict[str, Build] = {
    "nemotron_h": modern(
        "nemotron_h",
        layers_block_type=["mamba", "attention", "mlp"],
        mamba_num_heads=4,
        mamba_head_dim=12,
        ssm_state_size=8,
        n_groups=1,
        chunk_size=8,
    ),
}
"""Families whose layers are attention or something else, and never both."""

FAMILIES: dict[str, Build] = GATED | PLAIN | SPARSE | ATTENTION_ALONE

OUTPUT_GATE = ("qwen3_5", "qwen3_next_dense", "qwen3_next", "qwen3_5_moe")
"""Families with attn_gate."""
COMPRESSED = ("minicpm3", "youtu", "deepseek_v2", "deepseek_v3", "glm4_moe_lite", "kimi_linear")
"""Families with q_a and kv_a; `deepseek_v2_lite` has kv_a alone."""
LAYERS_WITH_ATTENTION = dict.fromkeys(
    [*OUTPUT_GATE, "olmo_hybrid", "lfm2", "lfm2_moe", "bamba"], (1, 2)
) | {
    **dict.fromkeys(["kimi_linear", "minimax", "granitemoehybrid"], (1, 2)),
    **dict.fromkeys(["jamba", "nemotron_h"], (1,)),
}
"""Of the three; in other families all of them."""
NORMED_VALUES = ("gemma3n", "gemma4")
"""Families that normalise values, which are so not linear in their projection."""
SHARED_KEYS = {"gemma3n": {"k": (0, 1), "v": (0, 1)}, "gemma4": {"k": (0, 1), "v": (0,)}}
"""Layers with a matrix of their own for these."""

FEW = {
    *("llama_gqa", "gemma3", "gpt2_conv1d", "phi3_fused"),
    *("gpt_neox_interleaved", "gpt_oss"),
}
"""One of each layout: enough where it is the arithmetic that is in question, not the adapter."""


def each(families: Iterable[str]) -> list[Any]:
    """Parameters of a test over `families`; all but `FEW` are marked `wide`."""
    wide = pytest.mark.wide
    return [pytest.param(f, id=f, marks=() if f in FEW else wide) for f in families]


def projections_of(family: str) -> tuple[str, ...]:
    """All that gradsweep can measure in a tiny model."""
    mlp = ("gate", "up", "down") if family in GATED else ("fc1", "fc2") if family in PLAIN else ()
    gate = ("attn_gate",) * (family in OUTPUT_GATE)
    latent = ("q_a", "kv_a") if family in COMPRESSED else ("kv_a",) * (family == "deepseek_v2_lite")
    return ("q", "k", "v", "o", *gate, *latent, *mlp)


def layers_of(family: str, projection: str) -> tuple[int, ...]:
    """The layers of a tiny model that have a matrix for this projection."""
    if projection in MLP_PROJECTIONS:
        return (0, 1, 2)
    own = SHARED_KEYS.get(family, {}).get(projection)
    return own or LAYERS_WITH_ATTENTION.get(family, (0, 1, 2))
