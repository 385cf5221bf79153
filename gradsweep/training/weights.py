"""The weights whose gradients are watched, and why some models have none to watch."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from gradsweep.errors import ModelError
from gradsweep.models.projections import Columns, ProjectionSite, find_projections
from gradsweep.models.unwrapped import unwrapped
from gradsweep.records import ADAPTER_MATRICES, adapter_name
from gradsweep.training.ranks import Ranks

log = logging.getLogger("gradsweep")


@dataclass(frozen=True)
class WatchedWeight:
    """One weight of a layer that trains, and the matrices that rows are of."""

    layer: int
    weight: nn.Parameter
    columns: Mapping[str, Columns]
    """What rows call a matrix -> its output features; None is all of them."""
    transposed: bool = False
    """Whether the weight has its input features first, as Conv1D's."""

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """(m, n) of each matrix."""
        m, n = self.weight.shape[::-1] if self.transposed else self.weight.shape
        return {
            name: (m if columns is None else len(columns), n)
            for name, columns in self.columns.items()
        }

    def matrices(self, tensor: Tensor) -> dict[str, Tensor]:
        """Cut the weight, or its gradient, into matrices (m×n), output features first."""
        flat = tensor.T if self.transposed else tensor
        return {
            name: flat if columns is None else flat[columns.to(flat.device)]
            for name, columns in self.columns.items()
        }


@dataclass(frozen=True)
class Watched:
    """What is watched of a model."""

    weights: list[WatchedWeight]
    """In layer order."""
    adapted: list[ProjectionSite]
    """Modules around frozen weights that a LoRA adapter trains: of those, rows are also of the
    gradient by the effective weight, dYᵀX."""

    @property
    def adapters(self) -> list[WatchedWeight]:
        """Those of the weights that are the adapters' own matrices."""
        return [w for w in self.weights if next(iter(w.columns)).endswith(ADAPTER_MATRICES)]


def watched_weights(
    model: nn.Module, projections: Sequence[str], layers: int | Collection[int] = 1
) -> Watched:
    """Find the weights of some projections in every `layers`-th layer, or in those of a list; what
    is frozen in some of them is left out there, with a warning.

    Raises:
        ModelError: as `find_projections`; a projection is frozen in all of them, or sharded by
            something that takes its gradient away before the optimizer's step.
    """
    check_gradients_stay(model)
    every = find_projections(unwrapped(model), projections)
    one_in = layers if isinstance(layers, int) else 1
    numbers = {site.layer for site in every} if isinstance(layers, int) else set(layers)
    sites = [site for site in every if site.layer % one_in == 0 and site.layer in numbers]
    if not sites:
        there = sorted({site.layer for site in every})
        watched = f"0, {layers}, …" if isinstance(layers, int) else ", ".join(map(str, layers))
        raise ModelError(
            f"layers={layers} watches layers {watched}, and {' '.join(projections)} are in "
            f"layers {', '.join(map(str, there))} alone: give layers=1"
        )
    if missing := numbers - {site.layer for site in every}:
        _warn(f"of layers {', '.join(map(str, sorted(missing)))}: none of the projections is there")
    trained, weights = _trained(sites, every)
    return Watched(weights, [site for site in trained if hasattr(site.module, "lora_A")])


def _weights(site: ProjectionSite) -> list[WatchedWeight]:
    module: Any = site.module
    if not hasattr(module, "lora_A"):
        return [WatchedWeight(site.layer, module.weight, site.columns, hasattr(module, "nf"))]
    trained = [n for n in module.active_adapters if n in module.lora_A]
    if len(trained) != 1:
        raise ModelError(
            f"{next(iter(site.columns))} of layer {site.layer} has {len(trained)} LoRA adapters "
            f"that are active ({', '.join(trained) or 'none'}): update rows are of one; activate "
            "one with model.set_adapter(name)"
        )
    names = list(site.columns)
    a, b = (part[trained[0]].weight for part in (module.lora_A, module.lora_B))
    # The projections of a fused weight share A: the first one gives it its name.
    of_b = {adapter_name(name, "lora_b"): site.columns[name] for name in names}
    return [
        WatchedWeight(site.layer, a, {adapter_name(names[0], "lora_a"): None}),
        WatchedWeight(site.layer, b, of_b),
    ]


def _trained(
    sites: Sequence[ProjectionSite], every: Sequence[ProjectionSite]
) -> tuple[list[ProjectionSite], list[WatchedWeight]]:
    """Take what trains of some sites; raises ModelError for a projection of which nothing does."""
    of_site = {id(site): _weights(site) for site in sites}
    trained = [site for site in sites if any(_trains(w) for w in of_site[id(site)])]
    if not trained:
        raise ModelError(_none_trains(every))
    can = {name for site in trained for name in site.columns}
    found = [weight for site in sites for weight in of_site[id(site)]]
    if without := [site for site in sites if not can & site.columns.keys()]:
        n_frozen = sum(not _trains(weight) for weight in found)
        raise ModelError(
            f"{next(iter(without[0].columns))} of layer {without[0].layer} ({n_frozen} of "
            f"{len(found)} weights) does not train (requires_grad is false), nor does that of "
            f"another watched layer, so it has no gradient: give projections={sorted(can)}, which "
            "train"
        )
    if frozen := [weight for weight in found if not _trains(weight)]:
        _warn(f"of layers that do not train (requires_grad is false): {_by_name(frozen)}")
    return trained, [weight for weight in found if _trains(weight)]


def _trains(watched: WatchedWeight) -> bool:
    return watched.weight.requires_grad


def _none_trains(every: Sequence[ProjectionSite]) -> str:
    """The reason, with the layers that one could watch in place of those that were asked for."""
    layers = sorted({site.layer for site in every if any(map(_trains, _weights(site)))})
    if layers:
        return (
            "nothing of the watched layers trains (requires_grad is false), but of layers "
            f"{', '.join(map(str, layers))}: give layers={layers}"
        )
    return (
        "none of the watched projections trains (requires_grad is false): unfreeze their "
        "weights, or measure probes only (update_every=0)"
    )


def _by_name(weights: Sequence[WatchedWeight]) -> str:
    layers_of: dict[str, list[str]] = {}
    for watched in weights:
        for name in watched.columns:
            layers_of.setdefault(name, []).append(str(watched.layer))
    return "; ".join(f"{name} of {', '.join(layers)}" for name, layers in layers_of.items())


def _warn(of_what: str) -> None:
    """Say once, from the first process, what will have no rows."""
    if not Ranks().rank:
        log.warning("no update rows %s", of_what)


def check_gradients_stay(model: nn.Module) -> None:
    """Raise ModelError where gradients are gone, or never whole, at the optimizer's step."""
    of_deepspeed = ("ds_id", "_hp_mapping", "_zero_index")
    by_module = any(type(m).__name__ == "DeepSpeedEngine" for m in model.modules())
    if by_module or any(hasattr(p, a) for p in model.parameters() for a in of_deepspeed):
        raise deepspeed_refused()
    if any(type(m).__name__ == "FullyShardedDataParallel" for m in model.modules()):
        raise ModelError(
            "the model is sharded by FSDP1 (FullyShardedDataParallel), which tells no hook when a "
            "weight's gradient is there: shard it by FSDP2 (torch.distributed.fsdp.fully_shard; "
            "in accelerate fsdp_version: 2), or measure probes only"
        )


def deepspeed_refused() -> ModelError:
    """The reason why update rows cannot be had from DeepSpeed."""
    return ModelError(
        "DeepSpeed takes its steps inside the backward pass, so that gradients are gone before "
        "the optimizer's hook: update rows are not possible with it; use FSDP2 or DDP, or measure "
        "probes only (update_every=0)"
    )


def check_optimizer_has(weights: Sequence[WatchedWeight], optimizer: object) -> None:
    """Raise ModelError for a watched weight that the optimizer does not step, or for DeepSpeed's
    optimizers.
    """
    kinds = {f"{kind.__module__}.{kind.__name__}".lower() for kind in type(optimizer).__mro__}
    if any("deepspeed" in kind for kind in kinds):
        raise deepspeed_refused()
    groups = getattr(optimizer, "param_groups", [])
    stepped = {id(parameter) for group in groups for parameter in group["params"]}
    missing = [w for w in weights if id(w.weight) not in stepped]
    if missing:
        name = next(iter(missing[0].columns))
        raise ModelError(
            f"the optimizer does not have {name} of layer {missing[0].layer} ({len(missing)} of "
            f"{len(weights)} watched weights): give it the model's parameters, or watch others "
            "(projections=…)"
        )


def gradient_of(watched: WatchedWeight) -> Tensor:
    """Return a weight's accumulated gradient; raises ModelError where it has none."""
    gradient = watched.weight.grad
    if gradient is None:
        name = next(iter(watched.columns))
        raise ModelError(
            f"{name} of layer {watched.layer} has no gradient when the optimizer steps: the loss "
            "does not depend on it, or gradients were cleared before the step"
        )
    return gradient.detach()
