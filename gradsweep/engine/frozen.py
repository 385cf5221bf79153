"""A model whose weights stand still: in eval mode, and without a weight gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from gradsweep.models.quantization import no_inference_packing


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Eval mode and no trainable parameter inside the block; restored afterwards.

    Frozen weights are what makes a factor pass cheap: autograd then never forms a
    weight gradient.

    Raises:
        ModelError: 4-bit weights that were repacked for inference (`no_inference_packing`).
    """
    training = {module for module in model.modules() if module.training}
    trainable = [p for p in model.parameters() if p.requires_grad]
    model.eval()
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        with no_inference_packing(model), torch.enable_grad():
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for module in training:
            module.training = True


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
