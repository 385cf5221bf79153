"""A model whose weights stand still: in eval mode, and without a weight gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from gradsweep.models.quantization import no_inference_packing


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Eval mode and no trainable parameter inside the block; restored afterwards.

    Frozen weights are what makes a factor pass cheap: autograd then never forms a
    weight gradient. Of a model that is sharded by FSDP2 all processes enter it together.

    Raises:
        ModelError: 4-bit weights that were repacked for inference (`no_inference_packing`).
    """
    training = {module for module in model.modules() if module.training}
    _put_shards_in_place(model)
    trainable = [p for p in model.parameters() if p.requires_grad]
    model.eval()
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        with no_inference_packing(model), torch.enable_grad():
            yield
    finally:
        _put_shards_in_place(model)
        for parameter in trainable:
            parameter.requires_grad_(True)
        if trainable:
            _let_shards_know(model)
        for module in training:
            module.training = True


def _put_shards_in_place(model: nn.Module) -> None:
    """FSDP2 leaves the outermost weights gathered after a pass without gradients: a flag that is
    set on these is lost with them, and the shards would never train again.
    """
    for module in sharded_modules(model):
        module.reshard()


def _let_shards_know(model: nn.Module) -> None:
    """FSDP2 takes the dtype of its reductions from what trains when it gathers for the first time,
    which may have been in the block.
    """
    for module in sharded_modules(model):
        module.unshard()
        module.reshard()


def sharded_modules(model: nn.Module) -> list[Any]:
    """The modules that `fully_shard` was called on; its class takes a second to import."""
    return [m for m in model.modules() if hasattr(m, "set_requires_gradient_sync")]


@contextmanager
def trainable(weights: Sequence[nn.Parameter]) -> Iterator[None]:
    """These weights, of a model that is frozen, get a gradient inside the block."""
    for weight in weights:
        weight.requires_grad_(True)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(False).grad = None
