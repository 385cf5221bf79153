"""Models that cannot be measured, told from their config alone, before any weight is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradsweep.config import ModelConfig, SourceKind
from gradsweep.errors import ModelError
from gradsweep.models.projections.adapters import ADAPTERS
from gradsweep.models.projections.wrappers import WRAPPERS


def check_family(model: ModelConfig) -> None:
    """Check that gradsweep knows the family in the `config.json` of a model.

    A folder's, or a hub model's in the local cache; elsewhere loading the model tells. Nothing is
    checked with `model.projections`, which name the modules of a family of one's own.

    Raises:
        ModelError: an encoder-decoder, or a family without adapter.
    """
    config = _read(model)
    if reason := _refusal(config, named=bool(model.named_projections)):
        raise ModelError(f"model={model.name}: {reason}")


def encoder_decoder(model_type: str) -> str:
    """Return why an encoder-decoder is refused."""
    return (
        f"model_type={model_type!r} is an encoder-decoder; "
        "gradsweep measures decoder-only causal LMs"
    )


def unknown_family(model_type: str) -> str:
    """Return why a family without adapter is refused, and what can be done."""
    return (
        f"no projection adapter for model_type={model_type!r}: name its modules "
        "(model.projections.layers=model.layers model.projections.q=self_attn.q_proj …, "
        "docs/models.md), or take one of the families that gradsweep knows: "
        f"{', '.join(sorted(ADAPTERS))}"
    )


def _refusal(config: Mapping[str, Any], named: bool) -> str:
    """Return why a config is refused; empty where it is not, or where it does not tell."""
    outer = config.get("model_type")
    if not isinstance(outer, str):
        return ""
    if config.get("is_encoder_decoder") is True or outer in ENCODER_DECODERS:
        return encoder_decoder(outer)
    if named or outer in ADAPTERS:
        return ""
    text = config.get("text_config")
    inner = text.get("model_type") if isinstance(text, dict) else None
    if outer in WRAPPERS:  # without a type, the wrapper's own default, which loading tells
        return "" if inner is None or inner in ADAPTERS else unknown_family(inner)
    return unknown_family(outer)


ENCODER_DECODERS = frozenset({"bart", "mt5", "t5", "t5gemma"})
"""Their configs do not always say so."""


def _read(model: ModelConfig) -> dict[str, Any]:
    """Return what `config.json` says; empty where there is none at hand, or no JSON object."""
    file = _config_file(model)
    try:
        content = json.loads(file.read_text(encoding="utf-8")) if file else {}
    except (OSError, ValueError):
        return {}  # which loading it says better
    return content if isinstance(content, dict) else {}


def _config_file(model: ModelConfig) -> Path | None:
    source = model.source
    if source.kind is SourceKind.folder:
        return Path(str(source.path)).expanduser() / "config.json"
    if source.kind is not SourceKind.hub:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(str(source.hub_id), "config.json", revision=source.revision)
    return Path(found) if isinstance(found, str) else None
