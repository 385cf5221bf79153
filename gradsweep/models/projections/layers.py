"""The decoder layers of a model, and what each of them has in place of attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from gradsweep.errors import ModelError
from gradsweep.models.projections.adapters import ADAPTERS, Adapter
from gradsweep.models.projections.named import named_adapter
from gradsweep.models.projections.refusals import encoder_decoder, unknown_family
from gradsweep.models.projections.wrappers import WRAPPERS


@dataclass(frozen=True)
class TextLayers:
    """The decoder layers of a model, and how its family lays them out."""

    layers: Sequence[nn.Module]
    adapter: Adapter
    config: Any
    """Of the text model."""


def text_layers(model: nn.Module, named: Mapping[str, str] | None = None) -> TextLayers:
    """Return the decoder layers of a model; raises as `available_projections`."""
    language_model = _without_peft(model)
    outer: Any = language_model.config
    if outer.is_encoder_decoder:
        raise ModelError(encoder_decoder(outer.model_type))
    config = outer.get_text_config()
    adapter = named_adapter(named) if named else _adapter_of(config.model_type)
    path = adapter.layers
    if outer.model_type in WRAPPERS and not named:
        path = f"{WRAPPERS[outer.model_type]}.{path.rpartition('.')[2]}"
    layers: Any = submodule(language_model, path)
    if not isinstance(layers, nn.ModuleList):
        hint = f"model.projections.layers={path}: " if named else ""
        raise ModelError(hint + _no_layers(language_model, path))
    return TextLayers(list(layers), adapter, config)


def _without_peft(model: Any) -> Any:
    """Return the transformers model inside a PeftModel, with its adapters still in place."""
    if not hasattr(model, "get_base_model"):
        return model
    if model.active_peft_config.is_prompt_learning:
        raise ModelError(
            f"PEFT method {model.active_peft_config.peft_type.value} puts virtual tokens before "
            "the prompt; gradsweep measures methods that adapt linear modules, such as LoRA"
        )
    return model.get_base_model()


def _adapter_of(model_type: str) -> Adapter:
    if model_type not in ADAPTERS:
        raise ModelError(unknown_family(model_type))
    return ADAPTERS[model_type]


def _no_layers(language_model: Any, path: str) -> str:
    parts = ", ".join(name for name, _ in language_model.named_children())
    return (
        f"{type(language_model).__name__} (model_type={language_model.config.model_type!r}) has no "
        f"layers at {path}, only {parts}. Needed is a causal LM with its head; "
        f"multimodal models that gradsweep knows: {', '.join(sorted(WRAPPERS))}"
    )


def mixers(layer: nn.Module, adapter: Adapter) -> dict[str, str]:
    """Return path and name of the mixers in a layer that are not attention."""
    return {
        path: name
        for path, name in adapter.other_mixers.items()
        if submodule(layer, path) is not None
    }


def shared(layer: nn.Module, adapter: Adapter) -> tuple[str, ...]:
    """Return the projections for which a layer takes another weight, and has none of its own."""
    names = [names for flag, names in adapter.shared.items() if _is_set(layer, flag)]
    return tuple(dict.fromkeys(name for group in names for name in group))


def _is_set(layer: nn.Module, flag: str) -> bool:
    path, _, attribute = flag.rpartition(".")
    return bool(getattr(submodule(layer, path), attribute, False))


def submodule(module: nn.Module, path: str) -> nn.Module | None:
    """Return the module at a dotted path; None where there is none."""
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None
