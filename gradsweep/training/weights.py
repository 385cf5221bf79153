"""The weights whose gradients are watched, and why some models have none to watch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from gradsweep.errors import ModelError
from gradsweep.models.projections import ProjectionSite, find_projections, projection_shapes
from gradsweep.models.unwrapped import unwrapped


@dataclass(frozen=True)
class WatchedWeight:
    """One weight of a layer, and the projections that it holds."""

    site: ProjectionSite
    weight: nn.Parameter

    @property
    def layer(self) -> int:
        return self.site.layer

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Projection -> (m, n)."""
        return projection_shapes(self.site)

    def matrices(self, tensor: Tensor) -> dict[str, Tensor]:
        """Cut the weight, or its gradient, into projections (m×n each), output features first."""
        # Conv1D has its input features first.
        flat = tensor.T if hasattr(self.site.module, "nf") else tensor
        return {
            name: flat if columns is None else flat[columns.to(flat.device)]
            for name, columns in self.site.columns.items()
        }


def watched_weights(
    model: nn.Module, projections: Sequence[str], layers: int = 1
) -> list[WatchedWeight]:
    """Find the weights of some projections in every `layers`-th layer, in layer order.

    Raises:
        ModelError: as `find_projections`; a weight is frozen, or sharded by something that takes
            its gradient away before the optimizer's step.
    """
    check_gradients_stay(model)
    sites = find_projections(unwrapped(model), projections)
    found = list(_weights(site for site in sites if site.layer % layers == 0))
    frozen = sorted(
        {
            f"{name} of layer {w.layer}"
            for w in found
            if not w.weight.requires_grad
            for name in w.shapes
        }
    )
    if frozen:
        raise ModelError(
            f"{frozen[0]} ({len(frozen)} matrices in all) does not train (requires_grad is false), "
            f"so it has no gradient: watch what trains, with projections=…; given: "
            f"{' '.join(projections)}"
        )
    return found


def _weights(sites: Iterator[ProjectionSite]) -> Iterator[WatchedWeight]:
    for site in sites:
        weight = site.module.weight
        assert isinstance(weight, nn.Parameter)
        yield WatchedWeight(site, weight)


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
        name = next(iter(missing[0].shapes))
        raise ModelError(
            f"the optimizer does not have {name} of layer {missing[0].layer} ({len(missing)} of "
            f"{len(weights)} watched weights): give it the model's parameters, or watch others "
            "(projections=…)"
        )
