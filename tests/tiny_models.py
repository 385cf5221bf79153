"""Tiny random causal LMs, one per layout of attention that gradsweep must get right."""

from __future__ import annotations

from collections.abc import Callable

import torch
import transformers as hf

VOCABULARY = 97
_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "pad_token_id": None,
}


def _random(model: torch.nn.Module) -> torch.nn.Module:
    """Weights, biases and norms away from their initial zeros and ones, in eval mode."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def _llama(**config: object) -> torch.nn.Module:
    return _random(hf.LlamaForCausalLM(hf.LlamaConfig(**_COMMON | config)))


def _gemma3() -> torch.nn.Module:
    """q/k norms after the projection, a sliding window, tied embeddings, a logit softcap."""
    config = hf.Gemma3TextConfig(
        **_COMMON | {"head_dim": 10, "num_key_value_heads": 1},
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        final_logit_softcapping=5.0,
    )
    return _random(hf.Gemma3ForCausalLM(config))


FAMILIES: dict[str, Callable[[], torch.nn.Module]] = {
    "llama": _llama,
    "llama_gqa": lambda: _llama(num_key_value_heads=2),
    "llama_mqa": lambda: _llama(num_key_value_heads=1),
    "qwen2_biases": lambda: _random(
        hf.Qwen2ForCausalLM(hf.Qwen2Config(**_COMMON | {"num_key_value_heads": 2}))
    ),
    "qwen3_norms": lambda: _random(
        hf.Qwen3ForCausalLM(hf.Qwen3Config(**_COMMON | {"num_key_value_heads": 2, "head_dim": 8}))
    ),
    "gemma3": _gemma3,
    "phi3_fused": lambda: _random(
        hf.Phi3ForCausalLM(hf.Phi3Config(**_COMMON | {"num_key_value_heads": 2}))
    ),
    "gpt2_conv1d": lambda: _random(
        hf.GPT2LMHeadModel(
            hf.GPT2Config(vocab_size=VOCABULARY, n_embd=24, n_layer=3, n_head=4, n_positions=128)
        )
    ),
    "gpt_neox_interleaved": lambda: _random(hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**_COMMON))),
    "bloom_interleaved": lambda: _random(
        hf.BloomForCausalLM(
            hf.BloomConfig(vocab_size=VOCABULARY, hidden_size=24, n_layer=3, n_head=4)
        )
    ),
}
