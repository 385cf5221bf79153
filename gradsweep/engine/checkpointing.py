"""Gradient checkpointing: decoder layers keep their inputs and run again in the backward pass.

The switch that transformers models have acts in train mode only, and gradients are measured in
eval mode (no dropout). So the layers are wrapped here, whatever the family.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from gradsweep.errors import ModelError
from gradsweep.models.projections import ProjectionSite


@contextmanager
def checkpointed_layers(model: nn.Module, sites: Sequence[ProjectionSite]) -> Iterator[None]:
    """Inside the block, activations live for one layer at a time; the numbers stay the same.

    About a third more time. Enter it before threads run the model.

    Raises:
        ModelError: the projections are not in a list of layers.
    """
    with ExitStack() as restored:
        for layer in decoder_layers(model, sites):
            restored.callback(_wrap(layer))
        yield


def decoder_layers(model: nn.Module, sites: Sequence[ProjectionSite]) -> list[nn.Module]:
    """Every layer of the `nn.ModuleList` around the watched projections, in its order.

    The outermost list counts: a mixture of experts has lists of its own inside a layer.

    Raises:
        ModelError: a projection is in no such list.
    """
    names = {module: name for name, module in model.named_modules()}
    lists: dict[nn.ModuleList, None] = {}
    for site in sites:
        parts = names[site.module].split(".")
        around = (model.get_submodule(".".join(parts[:i])) for i in range(len(parts)))
        found = next((module for module in around if isinstance(module, nn.ModuleList)), None)
        if found is None:
            raise ModelError(
                "gradients.checkpointing needs a model with a list of layers, and "
                f"{names[site.module]} of {type(model).__name__} is in none: "
                "set gradients.checkpointing=false"
            )
        lists[found] = None
    return [layer for layers in lists for layer in layers]


def _wrap(layer: nn.Module) -> Callable[[], None]:
    """Checkpoint the layer's forward; returns what undoes it.

    `forward`, not the call: hooks on the layer stay outside and run once. There is no random
    number in eval mode, and threads must not restore each other's generators.
    """
    own = vars(layer).get("forward")
    forward = layer.forward

    @functools.wraps(forward)
    def recomputed(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)

    def undo() -> None:
        if own is None:
            del layer.forward  # the instance attribute; the class's own shows again
        else:
            layer.forward = own

    layer.forward = recomputed
    return undo
