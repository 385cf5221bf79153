"""Sizes of tiny random causal LMs, and how one is built."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import transformers as hf

VOCABULARY = 97
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
MODERN = SIZES | {"intermediate_size": 40, "max_position_embeddings": 128}
GROUPED = MODERN | {"num_key_value_heads": 2, "head_dim": 6}
NORMED = {"num_key_value_heads": 2, "head_dim": 8}
"""Heads wider than hidden_size / heads, as Qwen 3 and Gemma have them."""
EXPERTS = {
    "num_local_experts": 4,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 20,
}
LATENT = {
    "q_lora_rank": 12,
    "kv_lora_rank": 10,
    "qk_nope_head_dim": 6,
    "qk_rope_head_dim": 4,
    "v_head_dim": 8,
    "num_key_value_heads": 4,
}
SHARED_EXPERTS = EXPERTS | {
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "shared_expert_intermediate_size": 20,
    "shared_intermediate_size": 20,
}
MAMBA = {
    "mamba_n_heads": 4,
    "mamba_d_head": 12,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "mamba_d_conv": 4,
    "mamba_chunk_size": 8,
}
DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 6,
    "linear_value_head_dim": 6,
    "linear_conv_kernel_dim": 3,
    "layer_types": ["linear_attention", "full_attention", "full_attention"],
}
CONVOLUTION = {"layer_types": ["conv", "full_attention", "full_attention"]}
SLIDING = {
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}
PER_LAYER = {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": VOCABULARY}


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    """Weights, biases and norms away from their initial zeros and ones, in eval mode."""
    with torch.no_grad():
        for parameter in (p for p in model.parameters() if not p.is_meta):
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def tiny(model_type: str, sizes: dict[str, object], **config: object) -> torch.nn.Module:
    described = hf.AutoConfig.for_model(model_type, **sizes | config)
    return randomised(hf.AutoModelForCausalLM.from_config(described))


Build = Callable[[], torch.nn.Module]


def modern(model_type: str, **config: object) -> Build:
    return partial(tiny, model_type, GROUPED, **config)


def classic(model_type: str, **config: object) -> Build:
    """Multi-head attention and the config names of the first GPTs."""
    return partial(tiny, model_type, SIZES, **config)


def latent(model_type: str, **config: object) -> Build:
    """Multi-head latent attention; the rotary part alone has a `head_dim`."""
    return partial(tiny, model_type, MODERN | LATENT, **config)
