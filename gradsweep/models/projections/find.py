"""Finds the modules to watch, from a model and the names of projections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from gradsweep.errors import ModelError
from gradsweep.models.projections.adapters import ADAPTERS, WRAPPERS, Adapter
from gradsweep.models.projections.sites import Columns, ProjectionSite, weight_shape
from gradsweep.records import ALL_PROJECTIONS, MLP_PROJECTIONS


def find_projections(model: nn.Module, projections: Sequence[str]) -> list[ProjectionSite]:
    """Return the modules of every layer that compute one of `projections`, in layer order.

    A PEFT model is searched below its wrapper. Its LoRA modules take the place of the linear
    modules they wrap, so that X and dY are those of the effective weight W + s·BA.

    Args:
        model: a causal LM of a family in `ADAPTERS`, bare, multimodal (`WRAPPERS`) or PEFT.
        projections: names out of `records.ALL_PROJECTIONS`.

    Raises:
        ModelError: the family has no adapter, the model is not a decoder-only LM, or a layer
            lacks a requested projection (the message lists what is there).
    """
    layers, adapter, config = _text_layers(model)
    sites: list[ProjectionSite] = []
    for index, layer in enumerate(layers):
        present = _sites_of_layer(index, layer, adapter, config)
        _check_all_found(index, layer, adapter, present, projections)
        sites += _only(present, projections)
    return sites


def available_projections(model: nn.Module) -> tuple[str, ...]:
    """Return the projections that every layer of `model` has, attention first.

    Raises:
        ModelError: the family has no adapter, or the model is not a decoder-only LM.
    """
    layers, adapter, config = _text_layers(model)
    names = [
        _names(_sites_of_layer(index, layer, adapter, config)) for index, layer in enumerate(layers)
    ]
    return tuple(name for name in ALL_PROJECTIONS if all(name in of_layer for of_layer in names))


def _text_layers(model: nn.Module) -> tuple[Iterable[nn.Module], Adapter, Any]:
    """Return the decoder layers, the adapter of their family and the config that sizes them."""
    language_model = _without_peft(model)
    outer: Any = language_model.config
    if outer.is_encoder_decoder:
        raise ModelError(
            f"model_type={outer.model_type!r} is an encoder-decoder; "
            "gradsweep measures decoder-only causal LMs"
        )
    config = outer.get_text_config()
    adapter = _adapter_of(config.model_type)
    path = adapter.layers
    if outer.model_type in WRAPPERS:
        path = f"{WRAPPERS[outer.model_type]}.{path.rpartition('.')[2]}"
    layers: Any = _submodule(language_model, path)
    if layers is None:
        raise ModelError(_no_layers(language_model, path))
    return layers, adapter, config


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
        raise ModelError(
            f"no projection adapter for model_type={model_type!r}; "
            f"families that gradsweep knows: {', '.join(sorted(ADAPTERS))}"
        )
    return ADAPTERS[model_type]


def _no_layers(language_model: Any, path: str) -> str:
    parts = ", ".join(name for name, _ in language_model.named_children())
    return (
        f"{type(language_model).__name__} (model_type={language_model.config.model_type!r}) has no "
        f"layers at {path}, only {parts}. Needed is a causal LM with its head; "
        f"multimodal models that gradsweep knows: {', '.join(sorted(WRAPPERS))}"
    )


def _sites_of_layer(
    index: int, layer: nn.Module, adapter: Adapter, config: Any
) -> list[ProjectionSite]:
    """Return every site that the layer has, whatever was asked for."""
    sites = []
    for path, layout in adapter.modules.items():
        module = _submodule(layer, path)
        if module is not None:
            columns = layout(config)
            _check_widths(f"{path} of layer {index}", module, columns)
            sites.append(ProjectionSite(index, module, columns))
    return sites


def _submodule(module: nn.Module, path: str) -> nn.Module | None:
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None


def _check_widths(place: str, module: nn.Module, columns: dict[str, Columns]) -> None:
    """Refuse a fused module of another width than its config says: the cuts would be wrong.

    Raises:
        ModelError: the widths of the parts and of the module differ.
    """
    widths = {name: len(index) for name, index in columns.items() if index is not None}
    outputs, _ = weight_shape(module)
    if widths and sum(widths.values()) != outputs:
        raise ModelError(
            f"{place} has {outputs} outputs, but by the config its parts have "
            + ", ".join(f"{name} {width}" for name, width in widths.items())
        )


def _only(sites: Iterable[ProjectionSite], requested: Sequence[str]) -> Iterable[ProjectionSite]:
    for site in sites:
        columns = {name: index for name, index in site.columns.items() if name in requested}
        if columns:
            yield ProjectionSite(site.layer, site.module, columns)


def _names(sites: Iterable[ProjectionSite]) -> list[str]:
    return [name for site in sites for name in site.columns]


def _check_all_found(
    index: int,
    layer: nn.Module,
    adapter: Adapter,
    present: Sequence[ProjectionSite],
    requested: Sequence[str],
) -> None:
    missing = [name for name in requested if name not in _names(present)]
    if not missing:
        return
    asked, there = ", ".join(missing), ", ".join(_names(present))
    if _is_sparse(layer, adapter) and any(name in MLP_PROJECTIONS for name in missing):
        raise ModelError(
            f"projection {asked}: layer {index} is a sparse mixture of experts, whose MLP "
            f"projections are not measured; projections there: {there}"
        )
    weights = [name for name, m in layer.named_modules() if getattr(m, "weight", None) is not None]
    raise ModelError(
        f"projection {asked} not found in layer {index}; projections there: {there} "
        f"(modules with a weight: {', '.join(weights)})"
    )


def _is_sparse(layer: nn.Module, adapter: Adapter) -> bool:
    return adapter.experts is not None and _submodule(layer, adapter.experts) is not None
