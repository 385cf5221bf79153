"""A model whose weights are shared out among ranks by FSDP2, frozen.

The first rank reads the weights. The others know the model's shape from its config, and each
layer's tensors come to all of them in turn, of which each keeps its shard: no rank but the first
ever has the whole model, and the first one has it on the host.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.utils import _pytree as pytree
from transformers import PreTrainedModel

from gradsweep.config import ModelConfig
from gradsweep.errors import ModelError, few
from gradsweep.models.footprint import amount
from gradsweep.models.language_model import auto_class, read_config
from gradsweep.models.pretrained import from_pretrained
from gradsweep.models.projections.layers import text_layers
from gradsweep.models.rank_group import RankGroup
from gradsweep.models.source import ResolvedSource
from gradsweep.models.weights import dtype_of, load_weights

IN_FLIGHT = 3
"""Copies of a layer's weights that a GPU holds while it gathers: what comes in, what it becomes,
and what comes in for the next one."""


@dataclass(frozen=True)
class _Described:
    """A tensor of the first rank's model, as the others need to know it."""

    places: tuple[tuple[str, str], ...]
    """Name of a module and of the tensor in it; several of a tied weight."""
    shape: tuple[int, ...]
    dtype: torch.dtype
    is_parameter: bool

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def load_sharded(
    config: ModelConfig, source: ResolvedSource, arguments: dict[str, Any], group: RankGroup
) -> PreTrainedModel:
    """Load on the first rank and shard: each decoder layer, and then all that is left.

    Args:
        config: the model's; its quantization is none.
        source: its files, which every rank finds.
        arguments: for `from_pretrained`.
        group: all ranks, which call this together.

    Raises:
        ModelError: as `load_weights`; the model's own class makes other tensors than the weights
            fill; layers share weights; or a shard does not fit on a GPU.
    """
    reads = group.rank.speaks
    load = load_weights if reads else _skeleton
    model = load(config, source, arguments, None)
    parts = [*text_layers(model).layers, model]
    held: list[list[_Described]] = group.first(_described(config, model, parts) if reads else [])
    _check_same_places(config, model, held)
    _check_room(config, held, group)
    modules = dict(model.named_modules())
    for part, tensors in zip(parts, held, strict=True):
        for tensor in tensors:
            _receive(modules, tensor, group)
        fully_shard(part, mesh=group.mesh)
        # Before those of FSDP2, which gather: hooks that come later and prepend run first.
        _vote_before_gathers(part, sum(t.n_bytes for t in tensors), group)
    _begin_passes_anew(model)
    return model


def _skeleton(
    config: ModelConfig, source: ResolvedSource, arguments: dict[str, Any], _: None
) -> PreTrainedModel:
    """The model without weights, on the meta device."""
    described = from_pretrained(read_config, "config", config, source, arguments)
    with torch.device("meta"):
        model: PreTrainedModel = auto_class(described).from_config(
            described, dtype=dtype_of(config)
        )
    return model


def _tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """A module's own parameters, buffers and plain attributes."""
    own = {**vars(module), **module._buffers, **module._parameters}
    return {key: value for key, value in own.items() if isinstance(value, Tensor)}


def _described(
    config: ModelConfig, model: nn.Module, parts: Sequence[nn.Module]
) -> list[list[_Described]]:
    """The tensors of each part that lie in no earlier one.

    Raises:
        ModelError: parts share modules or weights, each of which is gathered with one part alone.
    """
    names = {module: name for name, module in model.named_modules()}
    layers = [list(part.modules()) for part in parts[:-1]]
    inside = {module for layer in layers for module in layer}
    rest = [module for module in model.modules() if module not in inside]
    found = [_tensors_in(modules, names) for modules in (*layers, rest)]
    weights = [
        (key, tensor) for part in found for key, tensor in part.items() if tensor.is_parameter
    ]
    if len(dict(weights)) < len(weights) or len(inside) < sum(map(len, layers)):
        raise ModelError(
            f"model={config.name}: its layers share weights with each other or with what is "
            "around them, and shards are gathered layer by layer: measure it without "
            "model.placement, or with model.device_map=auto"
        )
    return [list(part.values()) for part in found]


def _tensors_in(
    modules: Sequence[nn.Module], names: Mapping[nn.Module, str]
) -> dict[int, _Described]:
    """The tensors of these modules, by identity: a tied one has several places."""
    places: dict[int, list[tuple[str, str]]] = {}
    tensors: dict[int, Tensor] = {}
    for module in modules:
        for key, value in _tensors_of(module).items():
            tensors[id(value)] = value
            places.setdefault(id(value), []).append((names[module], key))
    return {
        key: _Described(tuple(places[key]), tuple(t.shape), t.dtype, isinstance(t, nn.Parameter))
        for key, t in tensors.items()
    }


def _check_same_places(
    config: ModelConfig, model: nn.Module, held: Sequence[Sequence[_Described]]
) -> None:
    """The skeleton has the tensors that the first rank has read; ties are the first rank's."""
    theirs = {(*place, tensor.shape) for part in held for tensor in part for place in tensor.places}
    ours = {
        (name, key, tuple(value.shape))
        for name, module in model.named_modules()
        for key, value in _tensors_of(module).items()
    }
    if wrong := sorted(f"{name}.{key}" for name, key, _ in ours ^ theirs):
        raise ModelError(
            f"model={config.name}: its config makes other tensors than its weights fill "
            f"({few(wrong, most=3)}), so that processes cannot agree on what to share out: "
            "measure it without model.placement, or with model.device_map=auto"
        )


def _check_room(
    config: ModelConfig, held: Sequence[Sequence[_Described]], group: RankGroup
) -> None:
    """Of a GPU, before anything is sent: later there would be no way to tell the others."""
    sizes = [sum(tensor.n_bytes for tensor in part) for part in held]
    shard = sum(sizes) / group.rank.count
    needed = shard + sizes[-1] + IN_FLIGHT * max(sizes[:-1])
    if _free_bytes(group.device) < needed:
        raise ModelError(
            f"model={config.name} in {config.dtype.name} takes {amount(sum(sizes) / 1e9)}: among "
            f"{group.rank.count} processes (model.placement=fsdp) {amount(needed / 1e9)} each with "
            f"the layers that are gathered at a time, which {group.device} of rank "
            f"{group.rank.index} does not have free: give more processes, or model.dtype=bfloat16"
        )
    group.vote()


def _receive(modules: dict[str, nn.Module], tensor: _Described, group: RankGroup) -> None:
    """Put the first rank's tensor on this rank's device, in all of its places."""
    name, key = tensor.places[0]
    if group.rank.speaks:
        value = _tensors_of(modules[name])[key].detach().to(group.device).contiguous()
    else:
        value = torch.empty(tensor.shape, dtype=tensor.dtype, device=group.device)
    if value.numel():
        dist.broadcast(value.reshape(-1).view(torch.uint8), src=0)
    if tensor.is_parameter:
        value = nn.Parameter(value, requires_grad=False)
    for name, key in tensor.places:
        module = modules[name]
        holders: list[Any] = [module._parameters, module._buffers, vars(module)]
        next(holder for holder in holders if key in holder)[key] = value


def _vote_before_gathers(part: nn.Module, n_bytes: int, group: RankGroup) -> None:
    """Let ranks vote before each pass, forward or backward, through a part of the model."""

    def vote(*_: Any) -> None:
        if _free_bytes(group.device, enough=IN_FLIGHT * n_bytes) < IN_FLIGHT * n_bytes:
            raise torch.OutOfMemoryError("there is no room to gather a layer's weights")
        group.vote()

    def vote_later(module: nn.Module, args: Any, output: Any) -> None:
        tensors = [t for t in pytree.tree_leaves(output) if isinstance(t, Tensor)]
        tensors = [tensor for tensor in tensors if tensor.requires_grad]
        if torch.is_grad_enabled() and tensors:
            torch.autograd.graph.register_multi_grad_hook(tensors, vote, mode="any")

    part.register_forward_pre_hook(vote, prepend=True)
    part.register_forward_hook(vote_later, prepend=True)


def _begin_passes_anew(model: Any) -> None:
    """Put every shard in its place before a pass: the one before may have been dropped."""
    began = False

    def begin(*_: Any) -> None:
        if began:
            model.reset_iter_state()

    def begun(*_: Any) -> None:
        nonlocal began
        began = True  # FSDP2 has seen the model whole, which it does in its first pass

    model.register_forward_pre_hook(begin, prepend=True)
    model.register_forward_pre_hook(begun)


def _free_bytes(device: torch.device, enough: float = math.inf) -> float:
    """Bytes that this process can still have of its GPU; no less than `enough` where that many are
    at hand, which asks no driver. A host's memory is not known: infinite."""
    if device.type != "cuda":
        return math.inf
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return kept if kept >= enough else kept + torch.cuda.mem_get_info(device)[0]
