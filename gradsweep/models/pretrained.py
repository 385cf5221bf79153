"""Calls transformers' loaders: where they look, what they may say, and what a failure means."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import gguf
import torch
from tqdm.auto import tqdm
from transformers.utils import logging as transformers_logging

from gradsweep.config import ModelConfig, SourceKind
from gradsweep.errors import ModelError
from gradsweep.models import hub
from gradsweep.models.footprint import model_weights_gb
from gradsweep.models.gguf_reader import PlainGGUFReader
from gradsweep.models.placement import does_not_fit
from gradsweep.models.source import ResolvedSource


def loading_arguments(
    config: ModelConfig, source: ResolvedSource, commit: str | None = None
) -> dict[str, Any]:
    """Tell transformers where to look, besides the location.

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


def commit_of(arguments: Mapping[str, Any]) -> str | None:
    """The commit among the arguments; None where it could not be told from a branch or tag."""
    revision = arguments.get("revision")
    return revision if revision and hub.is_commit(revision) else None


def from_pretrained(
    load: Callable[..., Any],
    what: str,
    config: ModelConfig,
    source: ResolvedSource,
    arguments: dict[str, Any],
) -> Any:
    """Call one of transformers' loaders on `source`.

    Args:
        load: `from_pretrained` of an auto class.
        what: it loads, for messages.
        config: the model's, for messages.
        source: where the files are.
        arguments: for `load`; those of `loading_arguments` among them.

    Raises:
        ModelError: the source cannot be reached or read, or its weights do not fit on the GPU.
        MemoryError: they do not fit in this machine's memory.
    """
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


@contextmanager
def quiet(bars: bool) -> Iterator[None]:
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
def gguf_parsed_once() -> Iterator[None]:
    """Let the tokenizer, the config and the weights of one GGUF file share one parse of it.

    transformers parses the file three times and builds gguf's table of tensor names once per
    submodule of the model. Both only read, so that within one load they can be remembered
    (SmolLM2-135M on one core: 21 s become 8 s); the weights are the same to the last bit.
    """
    with ExitStack() as replaced:
        for name, made in (
            ("GGUFReader", PlainGGUFReader),
            ("get_tensor_name_map", gguf.get_tensor_name_map),
        ):
            replaced.enter_context(_replaced(gguf, name, functools.cache(made)))
        yield


@contextmanager
def _replaced(owner: object, name: str, value: object) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
