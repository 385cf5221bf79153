"""Which class of transformers loads a language model with its head.

Most multimodal models are no causal language models to transformers, though their text part is
one: they are loaded whole, with their towers for images, and read text alone.
"""

from __future__ import annotations

from typing import Any

from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PretrainedConfig,
)


def auto_class(config: PretrainedConfig) -> Any:
    """Return the auto class for this config; of a multimodal model, the one of the whole of it.

    A causal language model made from it would leave tensors of its file unused.
    """
    is_multimodal = type(config) in AutoModelForImageTextToText._model_mapping
    return AutoModelForImageTextToText if is_multimodal else AutoModelForCausalLM


def load_language_model(location: str, **arguments: Any) -> Any:
    """Load as `from_pretrained` of the class that the model's config asks for; raises as it."""
    if "gguf_file" in arguments:  # text models alone, whose config takes a parse of the whole file
        return AutoModelForCausalLM.from_pretrained(location, **arguments)
    where = ("revision", "local_files_only", "trust_remote_code")
    config = AutoConfig.from_pretrained(
        location, **{name: arguments[name] for name in where if name in arguments}
    )
    return auto_class(config).from_pretrained(location, **arguments)
