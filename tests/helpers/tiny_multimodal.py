"""Tiny vision-language models, of which the text part is measured."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import transformers as hf

from helpers.tiny_sizes import (
    CONVOLUTION,
    DELTA,
    EXPERTS,
    GROUPED,
    LATENT,
    MODERN,
    PER_LAYER,
    SHARED_EXPERTS,
    SLIDING,
    randomised,
)

_VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
_QWEN_VISION = {"depth": 1, "num_heads": 2, "embed_dim": 16, "out_hidden_size": 24}
_QWEN3_VISION = {"num_position_embeddings": 16, "deepstack_visual_indexes": [0]}


def multimodal(
    wrapper: str,
    text: str,
    sizes: dict[str, Any] | None = None,
    vision: dict[str, Any] | None = None,
    **config: object,
) -> torch.nn.Module:
    """A text model inside a vision-language model, as `text` alone is inside a causal LM."""
    described = hf.AutoConfig.for_model(
        wrapper,
        text_config={"model_type": text, **(GROUPED if sizes is None else sizes)},
        vision_config=_VISION | (vision or {}),
        **config,
    )
    return randomised(hf.AutoModelForImageTextToText.from_config(described))


def _three_positions(**sizes: object) -> dict[str, Any]:
    """Rotary positions of time, height and width, which are one and the same for text."""
    rotary = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 1]}
    return GROUPED | {"rope_parameters": rotary | {"partial_rotary_factor": 1.0}} | sizes


def _qwen(wrapper: str, **sizes: object) -> partial[torch.nn.Module]:
    text, vision = _three_positions(**sizes), _QWEN_VISION | _QWEN3_VISION
    return partial(multimodal, wrapper, f"{wrapper}_text", text, vision)


MULTIMODAL: dict[str, partial[torch.nn.Module]] = {
    "aya_vision": partial(multimodal, "aya_vision", "cohere2", GROUPED | {"sliding_window": 8}),
    "cohere2_vision": partial(
        multimodal,
        "cohere2_vision",
        "cohere2",
        GROUPED | {"sliding_window": 8},
        alignment_intermediate_size=32,
    ),
    "gemma4": partial(
        multimodal,
        "gemma4",
        "gemma4_text",
        GROUPED
        | PER_LAYER
        | SLIDING
        | {"num_kv_shared_layers": 1, "global_head_dim": 8, "pad_token_id": 0},
        {"head_dim": 8, "global_head_dim": 8},
        audio_config=None,
    ),
    "glm4v": partial(
        multimodal,
        "glm4v",
        "glm4v_text",
        _three_positions(),
        _QWEN_VISION,
    ),
    "idefics2": partial(multimodal, "idefics2", "mistral"),
    "internvl": partial(
        multimodal, "internvl", "qwen2", vision={"image_size": [28, 28], "patch_size": [14, 14]}
    ),
    "kimi_k25": partial(multimodal, "kimi_k25", "deepseek_v3", MODERN | LATENT | SHARED_EXPERTS),
    "lfm2_vl": partial(
        multimodal,
        "lfm2_vl",
        "lfm2",
        GROUPED | CONVOLUTION | {"block_auto_adjust_ff_dim": False},
        projector_hidden_size=16,
    ),
    "llama4": partial(
        multimodal,
        "llama4",
        "llama4_text",
        GROUPED | EXPERTS | {"intermediate_size_mlp": 40, "attention_chunk_size": 8},
        {"vision_output_dim": 16, "projector_input_dim": 16, "projector_output_dim": 16},
    ),
    "llava_next": partial(multimodal, "llava_next", "llama"),
    "llava_onevision": partial(multimodal, "llava_onevision", "qwen2"),
    "mistral3_ministral3": partial(multimodal, "mistral3", "ministral3"),
    "qwen2_vl": _qwen("qwen2_vl"),
    "qwen2_5_vl": _qwen("qwen2_5_vl"),
    "qwen3_vl": _qwen("qwen3_vl"),
    "qwen3_vl_moe": _qwen("qwen3_vl_moe", **EXPERTS),
    "qwen3_5": _qwen("qwen3_5", **DELTA),
    "qwen3_5_moe": _qwen("qwen3_5_moe", **DELTA, **SHARED_EXPERTS),
    "vipllava": partial(multimodal, "vipllava", "llama", vision_feature_layers=[-1]),
}
"""One of every wrapper, beside those in `tiny_models.GATED`: wrapper and text model are the first
two arguments. Gemma 3n's towers need timm."""
