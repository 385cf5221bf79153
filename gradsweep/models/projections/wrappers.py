"""Multimodal models whose text part is measured, by `config.model_type`."""

from __future__ import annotations

WRAPPERS: dict[str, str] = {
    **dict.fromkeys(
        [
            "aya_vision",
            "cohere2_vision",
            "gemma3",
            "gemma3n",
            "gemma4",
            "glm4v",
            "internvl",
            "kimi_k25",
            "lfm2_vl",
            "llava",
            "llava_next",
            "llava_onevision",
            "mistral3",
            "qwen2_5_vl",
            "qwen2_vl",
            "qwen3_5",
            "qwen3_5_moe",
            "qwen3_vl",
            "qwen3_vl_moe",
            "vipllava",
        ],
        "model.language_model",
    ),
    **dict.fromkeys(["idefics2", "idefics3", "smolvlm"], "model.text_model"),
    "llama4": "language_model.model",
}
"""`config.model_type` of a multimodal model -> dotted path to its text model, whose layers are
found there by the adapter of the text config (`model.layers` becomes `<path>.layers`)."""
