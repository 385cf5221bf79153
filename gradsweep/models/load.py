"""Loads a frozen causal language model and its tokenizer from any source, or says why it cannot.

Nothing that a model brings along is run as code: weights are safetensors or GGUF, never pickles,
and `trust_remote_code` is off. GGUF weights are dequantised.
"""

from __future__ import annotations

import functools
import logging
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from gradsweep.config import ModelConfig, ModelPlacement, Prompt, Quantization, SourceKind, Weights
from gradsweep.errors import ConfigError
from gradsweep.models.file_content import check_folder
from gradsweep.models.language_model import auto_class, read_config
from gradsweep.models.parameters import local_folder
from gradsweep.models.placement import (
    Placement,
    does_not_fit,
    free_gpu_memory,
    resolve_device,
    spread,
)
from gradsweep.models.pretrained import (
    commit_of,
    from_pretrained,
    gguf_parsed_once,
    loading_arguments,
    quiet,
)
from gradsweep.models.quantization import check_quantised
from gradsweep.models.rank_group import RankGroup, rank_group
from gradsweep.models.source import ResolvedSource, resolve
from gradsweep.models.stored_tensors import check_stored_tensors
from gradsweep.models.tokenizer import check_prompt, load_tokenizer
from gradsweep.models.weights import dtype_of, load_weights

log = logging.getLogger("gradsweep")


@dataclass(frozen=True)
class LoadedModel:
    """A model in eval mode on its devices, all weights frozen, and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    prompt: Prompt
    """How `encode` joins prompt and response for this model."""
    max_length: int
    """Tokens of prompt and response together."""
    commit: str | None = None
    """Of a hub model: the commit that its files are from. None where it cannot be told."""
    group: RankGroup | None = None
    """The ranks among which the weights are shared out; None where they are all here."""

    def on_any_rank(self, flag: bool) -> bool:
        """Return whether any of the ranks that share the weights says yes, which all are asked."""
        return self.group.any(flag) if self.group else flag

    def for_point(self, config: ModelConfig) -> LoadedModel:
        """The same weights and tokenizer for a point with its own prompt format and max_length.

        Raises:
            ConfigError: the model has fewer positions than max_length.
            ModelError: `config.prompt` is chat and the tokenizer has no usable chat template.
        """
        check_prompt(config, self.tokenizer)
        _check_positions(config, self.model)
        return replace(self, prompt=config.prompt, max_length=config.max_length)


def load_model(
    config: ModelConfig,
    device: str = "auto",
    commit: str | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> LoadedModel:
    """Load the model that `config` describes on to `device`.

    Licence terms of the source are logged as a warning (once in a process) before it is loaded.

    Args:
        config: the model's source, dtype, quantization, device map, prompt format and max_length.
        device: `auto` (cuda when there is one, else cpu), `cpu`, `cuda` or `cuda:N`.
        commit: of a hub model, instead of the one that its revision stands for today.
        tokenizer: of the same files, where it is loaded already.

    Raises:
        ConfigError: the device does not exist here, the model has fewer positions than
            max_length, or `config.placement` asks for several processes and this is a single one.
        ModelError: the source cannot be found, read or reached; weights are missing from it, or
            more are in it than the model uses; their files hold others than a load would take
            (`check_stored_tensors`); the tokenizer gives no offsets, or has no chat
            template and `config.prompt` is chat; the model does not fit on the device or, with
            `config.device_map`, on all of them; or it cannot be quantised as
            `config.quantization` asks, or cannot be trained as it is quantised.
    """
    target = resolve_device(device)
    source = resolve(config.source)
    if config.source.terms:
        _show_terms(config.name, config.source.terms)
    if config.source.kind is SourceKind.folder:
        check_folder(Path(source.location))
        _check_stored(config)
    arguments = loading_arguments(config, source, commit)
    group = group_of(config, device)
    if group and (told := group.first(commit_of(arguments))):
        arguments["revision"] = told
    parsing = gguf_parsed_once() if source.gguf_file else nullcontext()
    with quiet(bars=config.source.kind is SourceKind.hub), parsing:
        if config.source.kind is SourceKind.folder:  # else the tokenizer would be blamed for it
            from_pretrained(AutoConfig.from_pretrained, "config", config, source, arguments)
        if tokenizer is None:
            tokenizer = load_tokenizer(config, source, arguments)
        device_map = _device_map(config, source, arguments, target)
        if group:
            from gradsweep.models.sharding import load_sharded  # FSDP2 takes a second to import

            model = load_sharded(config, source, arguments, group)
        else:
            model = load_weights(config, source, arguments, device_map)
    commit = commit_of(arguments)
    if config.source.kind is SourceKind.hub:  # whose files are here now
        _check_stored(replace(config, source=replace(config.source, revision=commit)))
    loaded = LoadedModel(model, tokenizer, config.prompt, config.max_length, commit, group)
    loaded = loaded.for_point(config)
    check_quantised(model, config)
    for part in (model.config, model.config.get_text_config()):
        part.use_cache, part.return_dict = False, True
    model.eval().requires_grad_(False)
    if device_map is None and group is None:
        loaded = replace(loaded, model=_placed(model, target, config))
    return loaded


def group_of(config: ModelConfig, device: str) -> RankGroup | None:
    """Return the ranks that share the model's weights; None where one process has all of them.

    Raises:
        ConfigError, RankLostError: as `rank_group`.
    """
    return rank_group(device) if config.placement is ModelPlacement.fsdp else None


def _check_stored(config: ModelConfig) -> None:
    """Ask the headers of weights that are read and are on this machine."""
    folder = local_folder(config)
    if folder and config.weights is not Weights.random:
        check_stored_tensors(folder, config.name)


@functools.cache
def _show_terms(name: str, terms: str) -> None:
    """Once in a process, however many points load the model."""
    log.warning("model=%s: %s", name, " ".join(terms.split()))


def _device_map(
    config: ModelConfig, source: ResolvedSource, arguments: dict[str, Any], target: torch.device
) -> Placement | None:
    """Where the loader itself puts the weights; None leaves them to `_placed`."""
    if config.device_map is None or target.type == "cpu":
        # Weights are quantised one by one as they arrive: the model never exists in full.
        return None if config.quantization is Quantization.none else {"": target}
    described = from_pretrained(read_config, "config", config, source, arguments)
    with torch.device("meta"):
        skeleton = auto_class(described).from_config(described, dtype=dtype_of(config))
    return spread(skeleton, config, free_gpu_memory())


def _check_positions(config: ModelConfig, model: PreTrainedModel) -> None:
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and config.max_length > positions:
        raise ConfigError(
            f"model.max_length={config.max_length}: model={config.name} has {positions} positions; "
            f"allowed are 2 to {positions}"
        )


def _placed(model: PreTrainedModel, device: torch.device, config: ModelConfig) -> PreTrainedModel:
    try:
        return model.to(device)  # type: ignore[arg-type]  # transformers wraps it untyped
    except torch.OutOfMemoryError as error:
        size = sum(p.numel() * p.element_size() for p in model.parameters()) / 1e9
        raise does_not_fit(config, size, str(device)) from error
