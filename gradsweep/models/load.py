"""Loads a frozen causal language model and its tokenizer from any source, or says why it cannot.

Nothing that a model brings along is run as code: weights are safetensors or GGUF, never pickles,
and `trust_remote_code` is off. GGUF weights are dequantised.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import gguf
import torch
import transformers
from tqdm.auto import tqdm
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from gradsweep.config import ModelConfig, Prompt, SourceKind
from gradsweep.errors import ConfigError, ModelError
from gradsweep.models import hub
from gradsweep.models.encode import chat_prefix
from gradsweep.models.source import ResolvedSource, resolve

log = logging.getLogger("gradsweep")


@dataclass(frozen=True)
class LoadedModel:
    """A model in eval mode on its device, all weights frozen, and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    prompt: Prompt
    """How `encode` joins prompt and response for this model."""
    max_length: int
    """Tokens of prompt and response together."""


def load_model(config: ModelConfig, device: str = "auto") -> LoadedModel:
    """Load the model that `config` describes on to `device`.

    Licence terms of the source are logged as a warning (once in a process) before it is loaded.

    Args:
        config: the model's source, dtype, prompt format and max_length.
        device: `auto` (cuda when there is one, else cpu), `cpu`, `cuda` or `cuda:N`.

    Raises:
        ConfigError: the device does not exist here, or the model has fewer positions than
            max_length.
        ModelError: the source cannot be found, read or reached; weights are missing from it; the
            tokenizer gives no offsets, or has no chat template and `config.prompt` is chat; or the
            model does not fit on the device.
    """
    target = resolve_device(device)
    source = resolve(config.source)
    if config.source.terms:
        _show_terms(config.name, config.source.terms)
    arguments = _arguments(config, source)
    parsing = _gguf_parsed_once() if source.gguf_file else nullcontext()
    with _quiet(bars=config.source.kind is SourceKind.hub), parsing:
        tokenizer = _load_tokenizer(config, source, arguments)
        model = _load_weights(config, source, arguments)
    _check_positions(config, model)
    model.config.get_text_config().use_cache = False
    model.eval().requires_grad_(False)
    return LoadedModel(_placed(model, target, config), tokenizer, config.prompt, config.max_length)


def resolve_device(device: str) -> torch.device:
    """The torch device that `gradients.device` names.

    Raises:
        ConfigError: it is not auto, cpu, cuda or cuda:N, or this machine does not have it.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device("cuda" if count else "cpu")
    allowed = ["auto", "cpu"] + ["cuda"] * bool(count) + [f"cuda:{i}" for i in range(count)]
    if device not in allowed:
        why = "" if count else " (torch sees no CUDA device here)"
        raise ConfigError(f"gradients.device={device}: allowed here are {', '.join(allowed)}{why}")
    return torch.device(device)


@functools.cache
def _show_terms(name: str, terms: str) -> None:
    """Once in a process, however many points load the model."""
    log.warning("model=%s: %s", name, " ".join(terms.split()))


# --- tokenizer and weights


def _arguments(config: ModelConfig, source: ResolvedSource) -> dict[str, Any]:
    """What tells transformers where to look, besides the location."""
    if source.gguf_file:
        return {"gguf_file": source.gguf_file}
    if config.source.kind is SourceKind.folder:
        return {"local_files_only": True}
    revision = {"revision": source.revision} if source.revision else {}
    return revision | {"local_files_only": not hub.answers()}


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
    if config.prompt is Prompt.chat:
        try:
            chat_prefix(tokenizer, "Hello")
        except ModelError as error:
            raise ModelError(f"model={config.name}: {error}") from error
    return tokenizer


def _load_weights(
    config: ModelConfig, source: ResolvedSource, arguments: dict[str, Any]
) -> PreTrainedModel:
    arguments = arguments | {
        "dtype": getattr(torch, config.dtype.value),
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,  # reported below, with names
    }
    if not source.gguf_file:
        arguments["use_safetensors"] = True
    elif hasattr(transformers, "GgufConfig"):  # releases without it always dequantise
        arguments["quantization_config"] = transformers.GgufConfig(dequantize=True)
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
        raise ModelError(
            f"model={config.name} in {config.dtype.value} takes {size:.1f} GB, which {device} does "
            "not have free: use model.dtype=bfloat16, another gradients.device or a smaller model"
        ) from error


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
