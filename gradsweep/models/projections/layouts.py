"""Layouts: where the projections lie in the output of a module, as index arrays.

A layout maps the text config to {projection: output columns}. Read from the reshapes of
transformers' modeling files. The order of columns within a projection does not matter to
a spectrum; which columns belong to it does. Planning reads the families, so no torch here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64] | None
"""Output columns of one projection; None is all of them."""

Layout = Callable[[Any], dict[str, Index]]


def whole(name: str) -> Layout:
    """Lay out a module that is one projection."""
    return lambda config: {name: None}


def contiguous_qkv(config: Any) -> dict[str, Index]:
    """Cut q | k | v blocks, the last two narrower with grouped heads (Phi-3, GPT-2, MPT, DBRX)."""
    return _blocks(*_head_sizes(config))


def per_head_qkv(config: Any) -> dict[str, Index]:
    """Cut q k v of head 0, then of head 1, … (GPT-NeoX, BLOOM, Persimmon)."""
    heads, _, width = _head_sizes(config)
    return _groups(heads, 1, width)


def falcon_qkv(config: Any) -> dict[str, Index]:
    """Cut whichever of Falcon's three layouts the config says.

    New architecture (40b, 180b, 11B): for each key-value head its queries, then k, then v.
    Multi-query (7b): the queries of all heads, then one k and one v. Otherwise (rw-1b): per head.
    """
    heads, width = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    if config.new_decoder_architecture:
        return _groups(config.num_kv_heads, heads // config.num_kv_heads, width)
    return _groups(1, heads, width) if config.multi_query else _groups(heads, 1, width)


def gpt_bigcode_qkv(config: Any) -> dict[str, Index]:
    """Cut one key-value head behind all queries (StarCoder), else head by head."""
    heads, width = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    return _groups(1, heads, width) if config.multi_query else _groups(heads, 1, width)


def codegen_qkv(config: Any) -> dict[str, Index]:
    """Cut q | v | k, in this order, in each of four blocks (the cores CodeGen was trained on)."""
    index = np.arange(3 * config.hidden_size).reshape(4, 3, -1)
    return {name: index[:, i].flatten() for i, name in enumerate("qvk")}


def gate_up(config: Any) -> dict[str, Index]:
    """Cut gate | up halves (Phi-3, GLM)."""
    index = np.arange(2 * config.intermediate_size)
    return {"gate": index[: config.intermediate_size], "up": index[config.intermediate_size :]}


def query_and_gate(config: Any) -> dict[str, Index]:
    """Cut, head by head, the query and the gate of the head's output (Qwen3-Next, Qwen3.5)."""
    heads, _, width = _head_sizes(config)
    index = np.arange(2 * heads * width).reshape(heads, 2, width)
    return {"q": index[:, 0].flatten(), "attn_gate": index[:, 1].flatten()}


def latent_kv(config: Any) -> dict[str, Index]:
    """Cut, head by head, the key without its rotary part and the value (DeepSeek V2 and V3)."""
    heads, key, value = config.num_attention_heads, config.qk_nope_head_dim, config.v_head_dim
    index = np.arange(heads * (key + value)).reshape(heads, key + value)
    return {"k": index[:, :key].flatten(), "v": index[:, key:].flatten()}


def _head_sizes(config: Any) -> tuple[int, int, int]:
    """Return (query heads, key-value heads, head width) of an attention config."""
    heads = config.num_attention_heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return heads, groups, width


def _blocks(heads: int, groups: int, width: int) -> dict[str, Index]:
    """Cut all queries, then all keys, then all values."""
    q, k = heads * width, groups * width
    index = np.arange(q + 2 * k)
    return {"q": index[:q], "k": index[q : q + k], "v": index[q + k :]}


def _groups(groups: int, queries: int, width: int) -> dict[str, Index]:
    """Cut, `groups` times, `queries` query heads, one key head and one value head."""
    index = np.arange(groups * (queries + 2) * width).reshape(groups, queries + 2, width)
    return {
        "q": index[:, :-2].flatten(),
        "k": index[:, -2].flatten(),
        "v": index[:, -1].flatten(),
    }
