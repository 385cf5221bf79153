"""Loads a frozen causal language model and its tokenizer from any source, or says why it cannot.

Nothing that a model brings along is run as code: weights are safetensors or GGUF, never pickles,
and `trust_remote_code` is off. GGUF weights are dequantised.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import gguf
import torch
import transformers
from tqdm.auto import tqdm
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from gradsweep.config import ModelConfig, Prompt, Quantization, SourceKind
from gradsweep.errors import ConfigError, ModelError
from gradsweep.models import hub
from gradsweep.models.encode import chat_prefix
from gradsweep.models.footprint import model_weights_gb
from gradsweep.models.placement import (
    Placement,
    does_not_fit,
    free_gpu_memory,
    resolve_device,
    spread,
)
from gradsweep.models.quantization import check_quantised, quantization_config
from gradsweep.models.source import ResolvedSource, resolve

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

    def for_point(self, config: ModelConfig) -> LoadedModel:
        """The same weights and tokenizer for a point with its own prompt format and max_length.

        Raises:
            ConfigError: the model has fewer positions than max_length.
            ModelError: `config.prompt` is chat and the tokenizer has no usable chat template.
        """
        _check_prompt(config, self.tokenizer)
        _check_positions(config, self.model)
        return replace(self, prompt=config.prompt, max_length=config.max_length)


def load_model(config: ModelConfig, device: str = "auto", commit: str | None = None) -> LoadedModel:
    """Load the model that `config` describes on to `device`.

    Licence terms of the source are logged as a warning (once in a process) before it is loaded.

    Args:
        config: the model's source, dtype, quantization, device map, prompt format and max_length.
        device: `auto` (cuda when there is one, else cpu), `cpu`, `cuda` or `cuda:N`.
        commit: of a hub model, instead of the one that its revision stands for today.

    Raises:
        ConfigError: the device does not exist here, or the model has fewer positions than
            max_length.
        ModelError: the source cannot be found, read or reached; weights are missing from it; the
            tokenizer gives no offsets, or has no chat template and `config.prompt` is chat; the
            model does not fit on the device or, with `config.device_map`, on all of them; or it
            cannot be quantised as `config.quantization` asks.
    """
    target = resolve_device(device)
    source = resolve(config.source)
    if config.source.terms:
        _show_terms(config.name, config.source.terms)
    arguments = _arguments(config, source, commit)
    parsing = _gguf_parsed_once() if source.gguf_file else nullcontext()
    with _quiet(bars=config.source.kind is SourceKind.hub), parsing:
        tokenizer = _load_tokenizer(config, source, arguments)
        device_map = _device_map(config, source, arguments, target)
        model = _load_weights(config, source, arguments, device_map)
    loaded = LoadedModel(model, tokenizer, config.prompt, config.max_length, _commit(arguments))
    loaded = loaded.for_point(config)
    check_quantised(model, config)
    model.config.get_text_config().use_cache = False
    model.eval().requires_grad_(False)
    if device_map is None:
        loaded = replace(loaded, model=_placed(model, target, config))
    return loaded


@functools.cache
def _show_terms(name: str, terms: str) -> None:
    """Once in a process, however many points load the model."""
    log.warning("model=%s: %s", name, " ".join(terms.split()))


# --- tokenizer and weights


def _arguments(
    config: ModelConfig, source: ResolvedSource, commit: str | None = None
) -> dict[str, Any]:
    """What tells transformers where to look, besides the location.

    Tokenizer, config and weights of a hub model are of one commit, also when somebody pushes
    between two of them.
    """
    if source.gguf_file:
        return {"gguf_file": source.gguf_file}
    if config.source.kind is SourceKind.folder:
        return {"local_files_only": True}
    offline = not hub.answers()
    revision = commit or hub.commit_of(config.source, offline) or source.revision
    return ({"revision": revision} if revision else {}) | {"local_files_only": offline}


def _commit(arguments: Mapping[str, Any]) -> str | None:
    """The commit among the arguments; None where it could not be told from a branch or tag."""
    revision = arguments.get("revision")
    return revision if revision and hub.is_commit(revision) else None


def _load_tokenizer(
    config: ModelConfig, source: ResolvedSource, arguments: dict[str, Any]
) -> PreTrainedTokenizerBase:
    tokenizer = _from_pretrained(
        AutoTokenizer.from_pretrained, "tokenizer", config, source, arguments
    )
    if not tokenizer.is_fast:
        raise ModelError(
            f"model={config.name}: its tokenizer {type(tokenizer).__name__} gives no character "
            "offsets, which find the response's tokens; a fast one (tokenizer.json) is needed"
        )
    _check_prompt(config, tokenizer)  # before the weights, which take longer
    return tokenizer


def _check_prompt(config: ModelConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    if config.prompt is not Prompt.chat:
        return
    try:
        chat_prefix(tokenizer, "Hello")
    except ModelError as error:
        raise ModelError(f"model={config.name}: {error}") from error


def _device_map(
    config: ModelConfig, source: ResolvedSource, arguments: dict[str, Any], target: torch.device
) -> Placement | None:
    """Where the loader itself puts the weights; None leaves them to `_placed`."""
    if config.device_map is None or target.type == "cpu":
        # Weights are quantised one by one as they arrive: the model never exists in full.
        return None if config.quantization is Quantization.none else {"": target}
    described = _from_pretrained(AutoConfig.from_pretrained, "config", config, source, arguments)
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(described, dtype=_dtype(config))
    return spread(skeleton, config, free_gpu_memory())


def _load_weights(
    config: ModelConfig,
    source: ResolvedSource,
    arguments: dict[str, Any],
    device_map: Placement | None,
) -> PreTrainedModel:
    arguments = arguments | {
        "device_map": device_map,
        "dtype": _dtype(config),
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,  # reported below, with names
    }
    if not source.gguf_file:
        arguments["use_safetensors"] = True
    elif hasattr(transformers, "GgufConfig"):  # releases without it always dequantise
        arguments["quantization_config"] = transformers.GgufConfig(dequantize=True)
    if config.quantization is not Quantization.none:
        arguments["quantization_config"] = quantization_config(config)
    model, report = _from_pretrained(
        AutoModelForCausalLM.from_pretrained, "weights", config, source, arguments
    )
    wrong = sorted(str(key) for key in [*report["missing_keys"], *report["mismatched_keys"]])
    if wrong:
        raise ModelError(
            f"model={config.name}: {source.location} lacks {len(wrong)} weights of the model its "
            f"config describes, or has them in another shape, and random values would stand in "
            f"for them: {', '.join(wrong[:5])}{', ...' if len(wrong) > 5 else ''}"
        )
    return model


def _dtype(config: ModelConfig) -> torch.dtype:
    return getattr(torch, config.dtype.value)


def _from_pretrained(
    load: Callable[..., Any],
    what: str,
    config: ModelConfig,
    source: ResolvedSource,
    arguments: dict[str, Any],
) -> Any:
    try:
        return load(source.location, trust_remote_code=False, **arguments)
    except MemoryError:
        raise
    except torch.OutOfMemoryError as error:
        raise does_not_fit(config, model_weights_gb(config), "the GPU") from error
    # A damaged or unknown file can raise anything: struct.error, SafetensorError, KeyError, ...
    except Exception as error:
        if config.source.kind is SourceKind.hub:
            reason = hub.reason(error, config.source, offline=arguments["local_files_only"])
            raise ModelError(f"model={config.name}: {reason}") from error
        where = "/".join(filter(None, (source.location, source.gguf_file)))
        raise ModelError(
            f"model={config.name}: the {what} in {where} cannot be loaded: {hub.one_line(error)}"
        ) from error


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


# --- quiet and quick


@contextmanager
def _quiet(bars: bool) -> Iterator[None]:
    """No load reports of transformers; bars only where they show a download."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    silent = functools.partialmethod(tqdm.__init__, disable=True)
    try:
        with nullcontext() if bars else _replaced(tqdm, "__init__", silent):
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)


@contextmanager
def _gguf_parsed_once() -> Iterator[None]:
    """Let the tokenizer, the config and the weights of one GGUF file share one parse of it.

    transformers parses the file three times and builds gguf's table of tensor names once per
    submodule of the model. Both only read, so that within one load they can be remembered
    (SmolLM2-135M on one core: 21 s become 8 s); the weights are the same to the last bit.
    """
    with ExitStack() as replaced:
        for name in ("GGUFReader", "get_tensor_name_map"):
            remembered = functools.cache(getattr(gguf, name))
            replaced.enter_context(_replaced(gguf, name, remembered))
        yield


@contextmanager
def _replaced(owner: object, name: str, value: object) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
