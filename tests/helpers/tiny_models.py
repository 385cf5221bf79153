"""Tiny random causal LMs, at least one of every family and layout that gradsweep must get right."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
import torch
import transformers as hf

VOCABULARY = 97
_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
_MODERN = _SIZES | {"intermediate_size": 40, "max_position_embeddings": 128}
_GROUPED = _MODERN | {"num_key_value_heads": 2, "head_dim": 6}
_NORMED = {"num_key_value_heads": 2, "head_dim": 8}
"""Heads wider than hidden_size / heads, as Qwen 3 and Gemma have them."""
_EXPERTS = {
    "num_local_experts": 4,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 20,
}


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    """Weights, biases and norms away from their initial zeros and ones, in eval mode."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def _tiny(model_type: str, sizes: dict[str, object], **config: object) -> torch.nn.Module:
    tiny = hf.AutoConfig.for_model(model_type, **sizes | config)
    return randomised(hf.AutoModelForCausalLM.from_config(tiny))


Build = Callable[[], torch.nn.Module]


def _modern(model_type: str, **config: object) -> Build:
    return partial(_tiny, model_type, _GROUPED, **config)


def _classic(model_type: str, **config: object) -> Build:
    """Multi-head attention and the config names of the first GPTs."""
    return partial(_tiny, model_type, _SIZES, **config)


def _multimodal(wrapper: str, text: str, **config: object) -> torch.nn.Module:
    """A text model inside a vision-language model, as `text` alone is inside a causal LM."""
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    tiny = hf.AutoConfig.for_model(
        wrapper,
        text_config={"model_type": text, **_GROUPED},
        vision_config=vision | {"num_attention_heads": 2, "image_size": 28, "patch_size": 14},
        **config,
    )
    return randomised(hf.AutoModelForImageTextToText.from_config(tiny))


GATED: dict[str, Build] = {
    "llama": partial(_tiny, "llama", _MODERN),
    "llama_gqa": _modern("llama"),
    "llama_mqa": _modern("llama", num_key_value_heads=1),
    "cohere": _modern("cohere", use_qk_norm=True),
    "cohere2": _modern("cohere2", sliding_window=8),
    "cwm": _modern("cwm", sliding_window=8, bos_token_id=1, eos_token_id=2),
    "ernie4_5": _modern("ernie4_5"),
    "exaone4": _modern("exaone4", sliding_window=8),
    "gemma": _modern("gemma", **_NORMED),
    "gemma2": _modern("gemma2", **_NORMED, query_pre_attn_scalar=8, sliding_window=8),
    # q/k norms after the projection, a sliding window, tied embeddings, a logit softcap.
    "gemma3": _modern(
        "gemma3_text",
        head_dim=10,
        num_key_value_heads=1,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        final_logit_softcapping=5.0,
    ),
    "gemma3_multimodal": partial(_multimodal, "gemma3", "gemma3_text", mm_tokens_per_image=4),
    "granite": _modern("granite"),
    "helium": _modern("helium"),
    "hunyuan": _modern("hunyuan_v1_dense"),
    "hyperclovax": _modern("hyperclovax"),
    "llava_multimodal": partial(_multimodal, "llava", "llama"),
    "ministral": _modern("ministral", sliding_window=8),
    "ministral3": _modern("ministral3"),
    "mistral": _modern("mistral", sliding_window=8),
    "mistral3_multimodal": partial(_multimodal, "mistral3", "mistral"),
    "olmo": _modern("olmo", clip_qkv=8.0),
    "olmo2": _modern("olmo2"),
    "olmo3": _modern("olmo3", sliding_window=8),
    "qwen2_biases": _modern("qwen2"),
    "qwen3_norms": _modern("qwen3", **_NORMED),
    "seed_oss": _modern("seed_oss"),
    "smollm3": _modern("smollm3"),
    "smolvlm_multimodal": partial(_multimodal, "smolvlm", "llama"),
    "idefics3_multimodal": partial(_multimodal, "idefics3", "llama"),
    "stablelm": _modern("stablelm", qk_layernorm=True),
    "vaultgemma": _modern("vaultgemma", **_NORMED, query_pre_attn_scalar=8),
    "glm_fused_gate_up": _modern("glm"),
    "glm4_fused_gate_up": _modern("glm4"),
    "phi3_fused": _modern("phi3"),
}
"""Families with gate, up and down."""

PLAIN: dict[str, Build] = {
    "apertus": _modern("apertus"),
    "arcee": _modern("arcee"),
    "jais2": _modern("jais2"),
    "nemotron": _modern("nemotron"),
    "nanochat": _modern("nanochat"),
    "phi": partial(_tiny, "phi", _MODERN, num_attention_heads=3),
    "starcoder2": _modern("starcoder2"),
    "opt": _classic("opt", ffn_dim=40, word_embed_proj_dim=24),
    "biogpt": _classic("biogpt", intermediate_size=40),
    "gptj": _classic("gptj", rotary_dim=4),
    "gpt_neo": _classic("gpt_neo", attention_types=[[["global", "local", "global"], 1]]),
    "gpt2_conv1d": _classic("gpt2"),
    "gpt_bigcode_multi_query": _classic("gpt_bigcode", multi_query=True),
    "gpt_bigcode_multi_head": _classic("gpt_bigcode", multi_query=False),
    "codegen": _classic("codegen", rotary_dim=4),
    "mpt": _classic("mpt"),
    "gpt_neox_interleaved": partial(_tiny, "gpt_neox", _MODERN),
    "gpt_neox_japanese": partial(_tiny, "gpt_neox_japanese", _SIZES),
    "persimmon": partial(_tiny, "persimmon", _MODERN, num_attention_heads=3),
    "bloom_interleaved": _classic("bloom"),
    "falcon_7b": _classic("falcon", multi_query=True, alibi=False),
    "falcon_40b": _classic(
        "falcon", new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=2
    ),
    "falcon_11b": _classic(
        "falcon", new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=1
    ),
    "falcon_rw": _classic("falcon", multi_query=False, alibi=True, parallel_attn=False, bias=True),
}
"""Families with fc1 and fc2."""

SPARSE: dict[str, Build] = {
    "dots1": _modern("dots1", **_EXPERTS, n_routed_experts=4, n_shared_experts=1),
    "ernie4_5_moe": _modern("ernie4_5_moe", **_EXPERTS),
    "flex_olmo": _modern("flex_olmo", **_EXPERTS),
    "glm4_moe": _modern("glm4_moe", **_EXPERTS, n_routed_experts=4),
    "gpt_oss": _modern("gpt_oss", **_EXPERTS, sliding_window=8),
    "granitemoe": _modern("granitemoe", **_EXPERTS),
    "minimax_m2": _modern("minimax_m2", **_EXPERTS),
    "mixtral": _modern("mixtral", **_EXPERTS),
    "olmoe": _modern("olmoe", **_EXPERTS),
    "phimoe": _modern("phimoe", **_EXPERTS),
    "qwen2_moe": _modern("qwen2_moe", **_EXPERTS, shared_expert_intermediate_size=20),
    "qwen3_moe": _modern("qwen3_moe", **_EXPERTS),
    "dbrx": partial(
        _tiny,
        "dbrx",
        {"vocab_size": VOCABULARY, "d_model": 24, "n_heads": 4, "n_layers": 3, "max_seq_len": 128},
        attn_config={"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
        ffn_config={"hidden_size": 24, "ffn_hidden_size": 20},
    ),
}
"""Families with a mixture of experts in some layer: attention only."""

FAMILIES: dict[str, Build] = GATED | PLAIN | SPARSE


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
    return ("q", "k", "v", "o", *mlp)
