"""One weight, one module: only then is what a module sees the weight's whole gradient."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gradsweep.errors import ModelError
from gradsweep.models.projections.sites import ProjectionSite


def check_used_once(model: nn.Module, sites: Sequence[ProjectionSite]) -> None:
    """Check that no other module holds the weight of a site, and no other site has its module.

    The gradient by a tied weight is the sum over its uses, and each site sees one of them.

    Raises:
        ModelError: names both modules.
    """
    names = {module: name for name, module in model.named_modules()}
    holders: dict[object, list[str]] = {}
    for module, name in names.items():
        for weight in module.parameters(recurse=False):
            holders.setdefault(_key(weight), []).append(name)
    layers: dict[nn.Module, int] = {}
    for site in sites:
        other = layers.setdefault(site.module, site.layer)
        if other != site.layer:
            raise ModelError(
                f"{names[site.module]} is one module of layer {other} and of layer {site.layer}: "
                f"{_REFUSED}"
            )
        weight = getattr(site.module, "weight", None)
        if weight is not None and len(users := holders.get(_key(weight), [])) > 1:
            raise ModelError(f"{' and '.join(users[:2])} have one weight between them: {_REFUSED}")


_REFUSED = (
    "its gradient is the sum over both uses, and each shows a part of it only; leave the "
    "projection out of gradients.projections"
)


def _key(weight: Tensor) -> object:
    """What two names of one tensor share; tensors without memory (meta) go by the object."""
    return (weight.data_ptr(), weight.shape) if weight.data_ptr() else id(weight)
