"""Which class of transformers loads a language model with its head.

Most multimodal models are no causal language models to transformers, though their text part is
one: they are loaded whole, with their towers for images, and read text alone.
"""

from __future__ import annotations

import logging
from typing import Any

from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PretrainedConfig,
)
from transformers.activations import ACT2FN

OF_TORCH = (None, "eager", "sdpa")
"""Attention that every machine has; any other takes a package, a kernel from the hub or a GPU."""

log = logging.getLogger("gradsweep")


def read_config(location: str, **arguments: Any) -> PretrainedConfig:
    """Read a model's config, with attention of torch's own where it asks for another.

    The implementation is whoever saved it's choice, not the model's, and what is loaded may not
    depend on what happens to be installed.
    """
    config = AutoConfig.from_pretrained(location, **arguments)
    parts = [config, *(getattr(config, name, None) for name in config.sub_configs)]
    asked = {getattr(part, "_attn_implementation", None) for part in parts} - set(OF_TORCH)
    if asked:
        log.warning(
            "the config of %s asks for %s attention, which not every machine has: torch's own is "
            "used",
            location,
            ", ".join(sorted(map(str, asked))),
        )
        config._attn_implementation = None
    return config


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
    config = read_config(location, **{name: arguments[name] for name in where if name in arguments})
    try:
        return auto_class(config).from_pretrained(location, config=config, **arguments)
    except KeyError as error:
        raise _unknown_activation(config, error) or error from error


def _unknown_activation(config: PretrainedConfig, error: KeyError) -> ValueError | None:
    """The error of a config that names an activation which transformers does not know."""
    (name,) = error.args[:1] or (None,)
    if not isinstance(name, str) or name in ACT2FN:
        return None
    fields = [
        field
        for part in (config, config.get_text_config())
        for field, value in vars(part).items()
        if value == name and "act" in field
    ]
    if not fields:
        return None
    return ValueError(
        f"{fields[0]}={name!r} in config.json is no activation; allowed are {', '.join(ACT2FN)}"
    )
