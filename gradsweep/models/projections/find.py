"""Finds the modules to watch, from a model and the names of projections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import nn

from gradsweep.errors import ModelError
from gradsweep.models.projections.adapters import Adapter
from gradsweep.models.projections.layers import TextLayers, mixers, shared, submodule, text_layers
from gradsweep.models.projections.layouts import Index
from gradsweep.models.projections.named import check_named_module
from gradsweep.models.projections.single_use import check_used_once
from gradsweep.models.projections.sites import Columns, ProjectionSite, weight_shape
from gradsweep.records import ALL_PROJECTIONS, ATTENTION_PROJECTIONS, MLP_PROJECTIONS


def find_projections(
    model: nn.Module, projections: Sequence[str], named: Mapping[str, str] | None = None
) -> list[ProjectionSite]:
    """Return the modules of every layer that compute one of `projections`, in layer order.

    A layer with another mixer in place of attention has no q k v o, and so no site for them. A
    PEFT model is searched below its wrapper. Its LoRA modules take the place of the linear
    modules they wrap, so that X and dY are those of the effective weight W + s·BA.

    Args:
        model: a causal LM of a family in `ADAPTERS`, bare, multimodal (`WRAPPERS`) or PEFT.
        projections: names out of `records.ALL_PROJECTIONS`.
        named: `model.projections`, which then stands for the family's own modules.

    Raises:
        ModelError: the family has no adapter, the model is not a decoder-only LM, a layer
            lacks a requested projection (the message lists what is there), or a weight is used
            by two modules, so that neither of them sees its gradient.
    """
    family = text_layers(model, named)
    sites: list[ProjectionSite] = []
    for index, layer in enumerate(family.layers):
        present = _sites_of_layer(index, layer, family)
        _check_all_found(index, layer, family.adapter, present, projections)
        sites += _only(present, projections)
    _check_somewhere(sites, projections, family)
    check_used_once(model, sites)
    return sites


def available_projections(
    model: nn.Module, named: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return the projections that every layer of `model` has, attention first.

    Layers with another mixer in place of attention do not count for q k v o, nor those that share
    k and v with another layer for these.

    Raises:
        ModelError: the family has no adapter, or the model is not a decoder-only LM.
    """
    family = text_layers(model, named)
    lacking: set[str] = set()
    there: set[str] = set()
    for index, layer in enumerate(family.layers):
        present = _names(_sites_of_layer(index, layer, family))
        there.update(present)
        lacking |= set(ALL_PROJECTIONS) - set(present) - _excused(layer, family.adapter, present)
    return tuple(name for name in ALL_PROJECTIONS if name in there - lacking)


def _sites_of_layer(index: int, layer: nn.Module, family: TextLayers) -> list[ProjectionSite]:
    """Return every site that the layer has, whatever was asked for."""
    others = {path.rpartition(".")[0] for path in mixers(layer, family.adapter)} - {""}
    sites = []
    for path, layout in family.adapter.modules.items():
        module = submodule(layer, path)
        if module is None or path.rpartition(".")[0] in others:
            continue
        columns = {name: _on_torch(cut) for name, cut in layout(family.config).items()}
        place = f"{path} of layer {index}"
        if family.adapter.is_partial:
            check_named_module(place, module, columns)
        else:
            _check_widths(place, module, columns)
        sites.append(ProjectionSite(index, module, columns))
    return sites


def _on_torch(index: Index) -> Columns:
    return None if index is None else torch.from_numpy(index)


def _excused(layer: nn.Module, adapter: Adapter, present: Sequence[str]) -> set[str]:
    """Return the projections that this layer may lack."""
    excused = set(shared(layer, adapter))
    if mixers(layer, adapter):
        excused.update(ATTENTION_PROJECTIONS)
    if adapter.is_partial:
        groups = (ATTENTION_PROJECTIONS, MLP_PROJECTIONS)
        excused.update(*(group for group in groups if not set(group) & set(present)))
    return excused


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
    excused = _excused(layer, adapter, _names(present))
    missing = [name for name in requested if name not in {*_names(present), *excused}]
    if not missing:
        return
    asked, there = ", ".join(missing), ", ".join(_names(present)) or "none"
    if _is_sparse(layer, adapter) and any(name in MLP_PROJECTIONS for name in missing):
        raise ModelError(
            f"projection {asked}: layer {index} is a sparse mixture of experts, whose MLP "
            f"projections are not measured; projections there: {there}"
        )
    raise ModelError(
        f"{_as_typed(adapter, missing)}projection {asked} not found in layer {index}; "
        f"projections there: {there} "
        f"({_weights(layer)})"
    )


def _weights(layer: nn.Module) -> str:
    names = [name for name, m in layer.named_modules() if getattr(m, "weight", None) is not None]
    return f"modules with a weight: {', '.join(names)}"


def _check_somewhere(
    sites: Sequence[ProjectionSite], requested: Sequence[str], family: TextLayers
) -> None:
    """Raise ModelError where every layer may lack a projection, and every one does."""
    found = set(_names(sites))
    missing = [name for name in requested if name not in found]
    if not missing:
        return
    where = f"projection {', '.join(missing)} is in none of the {len(family.layers)} layers"
    if family.adapter.is_partial:
        typed = _as_typed(family.adapter, missing)
        raise ModelError(f"{typed}{where}; layer 0 has {_weights(family.layers[0])}")
    others = {name for layer in family.layers for name in mixers(layer, family.adapter).values()}
    raise ModelError(f"{where}, which have {' and '.join(sorted(others)) or 'none'} in its place")


def _as_typed(adapter: Adapter, missing: Sequence[str]) -> str:
    """Return "model.projections.q=self_attn.query: " where a user named what is missing."""
    if not adapter.is_partial:
        return ""
    paths = {name: path for path, layout in adapter.modules.items() for name in layout(None)}
    typed = [f"model.projections.{name}={paths[name]}" for name in missing if name in paths]
    return f"{' '.join(typed)}: " if typed else ""


def _is_sparse(layer: nn.Module, adapter: Adapter) -> bool:
    return adapter.experts is not None and submodule(layer, adapter.experts) is not None
