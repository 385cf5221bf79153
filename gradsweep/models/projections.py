"""Where each family of causal LMs keeps its attention projections: named, never guessed.

An adapter names the list of layers and, for each module to watch, the projections
that it computes and which of its output columns belong to each. For a separate
`q_proj` that is all of them; for a fused `qkv` it is a slice, and the gradient of
that slice of the weight is the same slice of dY with the same X.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gradsweep.errors import ModelError

Columns = torch.Tensor | None
"""Output columns of a module that belong to one projection; None is all of them."""


@dataclass(frozen=True)
class ProjectionSite:
    """One module to watch in one layer, and the projections found in its output."""

    layer: int
    module: nn.Module
    columns: dict[str, Columns]
    """Projection name -> output columns of `module`."""


@dataclass(frozen=True)
class Adapter:
    """How one family lays out its layers and projections."""

    layers: str
    """Dotted path from the causal LM to the list of its layers."""
    modules: dict[str, Callable[[Any], dict[str, Columns]]]
    """Dotted path below a layer -> function from the text config to the columns by projection."""


def find_projections(model: nn.Module, projections: Sequence[str]) -> list[ProjectionSite]:
    """The modules of every layer that compute one of `projections`, in layer order.

    Raises:
        ModelError: the family has no adapter, or a layer lacks a requested projection
            (the message lists what is there).
    """
    hf_model: Any = model  # transformers' own attributes, which nn.Module types as tensors
    config = hf_model.config.get_text_config()
    adapter = _adapter_of(config.model_type)
    sites: list[ProjectionSite] = []
    for index, layer in enumerate(hf_model.get_submodule(adapter.layers)):
        here = list(_sites_of_layer(index, layer, adapter, config, projections))
        _check_all_found(index, layer, here, projections)
        sites.extend(here)
    return sites


def _adapter_of(model_type: str) -> Adapter:
    if model_type not in ADAPTERS:
        raise ModelError(
            f"no projection adapter for model_type={model_type!r}; "
            f"families that gradsweep knows: {', '.join(sorted(ADAPTERS))}"
        )
    return ADAPTERS[model_type]


def _sites_of_layer(
    index: int, layer: nn.Module, adapter: Adapter, config: Any, wanted: Sequence[str]
) -> Iterable[ProjectionSite]:
    for path, columns_of in adapter.modules.items():
        columns = {name: cols for name, cols in columns_of(config).items() if name in wanted}
        if columns and _has_submodule(layer, path):
            yield ProjectionSite(index, layer.get_submodule(path), columns)


def _has_submodule(module: nn.Module, path: str) -> bool:
    try:
        module.get_submodule(path)
    except AttributeError:
        return False
    return True


def _check_all_found(
    index: int, layer: nn.Module, sites: list[ProjectionSite], wanted: Sequence[str]
) -> None:
    found = {name for site in sites for name in site.columns}
    missing = [name for name in wanted if name not in found]
    if missing:
        linears = [n for n, m in layer.named_modules() if getattr(m, "weight", None) is not None]
        raise ModelError(
            f"projection {', '.join(missing)} not found in layer {index}; "
            f"modules with a weight there: {', '.join(linears)}"
        )


def _whole(*names: str) -> Callable[[Any], dict[str, Columns]]:
    return lambda config: dict.fromkeys(names)


def _head_sizes(config: Any) -> tuple[int, int, int]:
    """(query heads, key-value heads, head width) of an attention config."""
    heads = config.num_attention_heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return heads, groups, width


def _contiguous_qkv(config: Any) -> dict[str, Columns]:
    """q | k | v blocks one after another (Phi-3 `qkv_proj`, GPT-2 `c_attn`)."""
    heads, groups, width = _head_sizes(config)
    q, k = heads * width, groups * width
    index = torch.arange(q + 2 * k)
    return {"q": index[:q], "k": index[q : q + k], "v": index[q + k :]}


def _interleaved_qkv(config: Any) -> dict[str, Columns]:
    """q k v of head 0, then of head 1, … (GPT-NeoX, BLOOM `query_key_value`)."""
    heads, _, width = _head_sizes(config)
    index = torch.arange(3 * heads * width).view(heads, 3, width)
    return {name: index[:, i].flatten() for i, name in enumerate("qkv")}


def _separate(attention: str, output: str) -> Adapter:
    modules = {f"{attention}.{name}_proj": _whole(name) for name in "qkv"}
    return Adapter("model.layers", modules | {f"{attention}.{output}": _whole("o")})


_LLAMA_LIKE = _separate("self_attn", "o_proj")

ADAPTERS: dict[str, Adapter] = {
    **dict.fromkeys(
        [
            "llama",
            "mistral",
            "qwen2",
            "qwen3",
            "gemma",
            "gemma2",
            "gemma3_text",
            "olmo",
            "olmo2",
            "olmo3",
            "smollm3",
            "granite",
        ],
        _LLAMA_LIKE,
    ),
    "phi": _separate("self_attn", "dense"),
    "phi3": Adapter(
        "model.layers",
        {"self_attn.qkv_proj": _contiguous_qkv, "self_attn.o_proj": _whole("o")},
    ),
    "gpt2": Adapter("transformer.h", {"attn.c_attn": _contiguous_qkv, "attn.c_proj": _whole("o")}),
    "gpt_neox": Adapter(
        "gpt_neox.layers",
        {"attention.query_key_value": _interleaved_qkv, "attention.dense": _whole("o")},
    ),
    "bloom": Adapter(
        "transformer.h",
        {"self_attention.query_key_value": _interleaved_qkv, "self_attention.dense": _whole("o")},
    ),
}
"""`config.model_type` -> adapter."""
