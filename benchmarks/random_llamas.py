"""Llama models of random weights in sizes that people measure, and batches of random tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from gradsweep.engine import Batch, make_batch

SHORTEST = 0.9
"""Of the longest sample, where lengths are unequal: a batch of similar samples."""

RESPONSE_FROM = 0.3
"""Share of the tokens that are the prompt."""


@dataclass(frozen=True)
class Model:
    """Sizes of a Llama."""

    title: str
    config: dict[str, Any]
    dtype: torch.dtype = torch.float32
    """The usual one."""

    def build(self, device: torch.device, dtype: torch.dtype | None = None) -> LlamaForCausalLM:
        """Make it on the device, in eval mode and without a weight that trains."""
        torch.manual_seed(0)
        torch.set_default_dtype(dtype or self.dtype)
        try:
            with torch.device(device):
                model = LlamaForCausalLM(LlamaConfig(use_cache=False, **self.config))
        finally:
            torch.set_default_dtype(torch.float32)
        return model.eval().requires_grad_(False)

    def with_layers(self, n: int) -> Model:
        """Return the same with so many layers."""
        return replace(self, config=self.config | {"num_hidden_layers": n})


def llama(
    width: int, inner: int, layers: int, heads: int, kv_heads: int, **more: Any
) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
    } | more


MODELS = {
    "8b": Model("Llama-3-8B", llama(4096, 14336, 32, 32, 8, vocab_size=128256), torch.bfloat16),
    "1b": Model(
        "Llama-3.2-1B",
        llama(2048, 8192, 16, 32, 8, vocab_size=128256, tie_word_embeddings=True),
        torch.bfloat16,
    ),
    "smollm2": Model(
        "SmolLM2-135M",
        llama(576, 1536, 30, 9, 3, vocab_size=49152, tie_word_embeddings=True),
    ),
    "tiny": Model("tiny", llama(64, 96, 2, 4, 2, vocab_size=300)),
}


def batch(model: LlamaForCausalLM, tokens: int, samples: int, unequal: bool) -> Batch:
    """Return random tokens on the model's device, of which the last 70 % are the response."""
    shape, device = (samples, tokens), model.device
    ids = torch.randint(1, model.config.vocab_size, shape, device=device)
    shortest = round(SHORTEST * tokens) if unequal else tokens
    lengths = torch.linspace(tokens, shortest, samples, device=device).round()
    places = torch.arange(tokens, device=device)
    real = places < lengths[:, None]
    return make_batch(ids, (places >= RESPONSE_FROM * tokens) & real, real)
