"""Loads a model's weights, all of them and no others, or says which are too many or too few."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

from gradsweep.config import ModelConfig, Quantization, Weights
from gradsweep.errors import ModelError, few
from gradsweep.models.language_model import auto_class, load_language_model, read_config
from gradsweep.models.placement import Placement
from gradsweep.models.pretrained import from_pretrained
from gradsweep.models.quantization import quantization_config
from gradsweep.models.source import ResolvedSource

DERIVED = re.compile(r"rotary_emb\.inv_freq$|\.masked_bias$|attn\.bias$|attention\.bias$")
"""Tables and masks that older releases saved beside the weights, and every model makes anew."""

RANDOM_SEED = 0
"""Of `model.weights=random`; part of what its points are."""

log = logging.getLogger("gradsweep")


def load_weights(
    config: ModelConfig,
    source: ResolvedSource,
    arguments: dict[str, Any],
    device_map: Placement | None,
) -> PreTrainedModel:
    """Load a model with the weights of its source, or with random ones where these are asked for.

    Args:
        config: of the model.
        source: where its files are.
        arguments: of `loading_arguments`.
        device_map: where the weights are put as they arrive; None leaves that to the caller.

    Raises:
        ModelError, MemoryError: as `from_pretrained`; or weights do not fit the model.
    """
    if config.weights is Weights.random:
        return _random_weights(config, source, arguments)
    arguments = arguments | {
        "device_map": device_map,
        "dtype": dtype_of(config),
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,  # reported below, with names
    }
    if not source.gguf_file:
        arguments["use_safetensors"] = True
    elif hasattr(transformers, "GgufConfig"):  # releases without it always dequantise
        arguments["quantization_config"] = transformers.GgufConfig(dequantize=True)
    if config.quantization is not Quantization.none:
        arguments["quantization_config"] = quantization_config(config)
    model, report = from_pretrained(load_language_model, "weights", config, source, arguments)
    _check_report(config, source, report)
    _say_which_head(config, source, model)
    _check_no_adapter(config, source, model)
    return model


def _random_weights(
    config: ModelConfig, source: ResolvedSource, arguments: dict[str, Any]
) -> PreTrainedModel:
    """The model as its class makes it, from the same random state every time."""
    described = from_pretrained(read_config, "config", config, source, arguments)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        model: PreTrainedModel = auto_class(described).from_config(
            described, dtype=dtype_of(config)
        )
    return model


def _check_report(
    config: ModelConfig, source: ResolvedSource, report: Mapping[str, Iterable[Any]]
) -> None:
    """Every tensor of the model comes from the source, and every tensor of the source is used."""
    wrong = sorted([*map(str, report["missing_keys"]), *map(_reshaped, report["mismatched_keys"])])
    if wrong:
        raise ModelError(
            f"model={config.name}: {source.location} lacks {len(wrong)} weights of the model its "
            f"config describes, or has them in another shape, and random values would stand in "
            f"for them: {few(wrong, most=5)}. {_remedy(wrong, report['unexpected_keys'])}"
        )
    unused = sorted(str(key) for key in report["unexpected_keys"] if not DERIVED.search(str(key)))
    if not unused:
        return
    what = (
        f"model={config.name}: {source.location} has {len(unused)} tensors that the model its "
        f"config describes does not use: {few(unused, most=5)}"
    )
    if not config.allow_unused_weights:
        raise ModelError(
            f"{what}. Layers, biases or heads that are left out make another model: mend its "
            "config.json, or measure without them by model.allow_unused_weights=true"
        )
    log.warning("%s (model.allow_unused_weights=true)", what)


def _reshaped(mismatched: Any) -> str:
    """Name a tensor whose shape in the file is not the model's."""
    if not isinstance(mismatched, tuple):
        return str(mismatched)
    name, there, wanted = mismatched
    return f"{name} ({list(there)} instead of {list(wanted)})"


def _remedy(missing: Sequence[str], unexpected: Iterable[Any]) -> str:
    """Say what can be done about missing weights, which the source may have by other names."""
    names, others = set(missing), sorted(map(str, unexpected))
    parted = (key.partition(".") for key in others)
    prefixes = {f"{wrapper}." for wrapper, _, name in parted if name in names}
    if prefixes:
        return (
            f"They are there with {few(sorted(prefixes))} before their names: save the model "
            "inside its wrapper (model.module, model._orig_mod) by save_pretrained"
        )
    has = f"It has others, as {others[0]}. " if others else ""
    return (
        f"{has}Take the config.json that they were saved with and all files of the weights, or "
        "save the model again by save_pretrained"
    )


def _say_which_head(config: ModelConfig, source: ResolvedSource, model: PreTrainedModel) -> None:
    """Where config and file disagree on a tied head, transformers takes the file's."""
    head: Any = model.get_output_embeddings()
    embedding: Any = model.get_input_embeddings()
    tied = getattr(model.config, "tie_word_embeddings", False) and model._tied_weights_keys
    if tied and head is not None and head.weight is not embedding.weight:
        log.warning(
            "model=%s: the config of %s ties the output head to the embedding, and its weights "
            "have a head of their own, which is used",
            config.name,
            source.location,
        )


def _check_no_adapter(config: ModelConfig, source: ResolvedSource, model: PreTrainedModel) -> None:
    """A repository on the hub may be an adapter, which peft, where it is installed, applies."""
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ModelError(
            f"model={config.name}: {source.location} is an adapter of another model: merge it into "
            "its base model (merge_and_unload), save that, and give it as model=folder"
        )


def dtype_of(config: ModelConfig) -> torch.dtype:
    return getattr(torch, config.dtype.value)
