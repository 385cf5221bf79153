"""A model in more bits than its own: what its passes are compared with, where memory allows.

Models convert parts of a pass to float32 by themselves, whatever their weights are: norms,
softmaxes, rotary angles. `in_dtype` lets none of that through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import PreTrainedModel

from gradsweep.config import Config, Dtype, Quantization, TrainingConfig
from gradsweep.models.footprint import amount
from gradsweep.models.projections import ProjectionSite, n_parameters, projection_shapes
from gradsweep.plan.estimate import Hardware, capacity_gb, peak_memory, this_machine


@contextmanager
def in_dtype(model: PreTrainedModel, dtype: torch.dtype) -> Iterator[None]:
    """Compute everything in `dtype` inside the block, from the model's weights as they are.

    Weights and buffers are widened in place and narrowed again, both of which is exact.

    Args:
        model: with floating-point weights; experts run one by one inside the block, since grouped
            products exist for fewer bits only.
        dtype: at least as wide as the model's.
    """
    tensors = [t for t in (*model.parameters(), *model.buffers()) if _narrower(t.dtype, dtype)]
    own = [tensor.dtype for tensor in tensors]
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    for tensor in tensors:
        tensor.data = tensor.detach().to(dtype)
    try:
        with _one_expert_at_a_time(model), _NothingNarrower(dtype):
            yield
    finally:
        for tensor, narrow in zip(tensors, own, strict=True):
            tensor.data = tensor.detach().to(narrow)
        torch.set_default_dtype(default)


class _NothingNarrower(TorchDispatchMode):
    """Takes every request for fewer bits, forward and backward, as one for `dtype`."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        wanted = dict(kwargs or {})
        if _narrower(wanted.get("dtype"), self._dtype):
            wanted["dtype"] = self._dtype
        return func(*args, **wanted)


def _narrower(dtype: torch.dtype | None, than: torch.dtype) -> bool:
    return dtype is not None and dtype.is_floating_point and dtype.itemsize < than.itemsize


@contextmanager
def _one_expert_at_a_time(model: PreTrainedModel) -> Iterator[None]:
    """Have mixtures of experts run the loop that defines them, inside the block."""
    usual = model.get_experts_implementation()
    model.set_experts_implementation("eager")
    try:
        yield
    finally:
        model.set_experts_implementation(usual)


def shortage(
    config: Config,
    model: nn.Module,
    dtype: torch.dtype,
    n_tokens: int,
    sites: Sequence[ProjectionSite],
) -> str:
    """Say what a pass of autograd in `dtype` is expected to lack here; empty where it fits.

    Args:
        config: of the point.
        model: the model as it is loaded.
        dtype: float32 or wider.
        n_tokens: of the longest unit.
        sites: of the weights that get a gradient.
    """
    widths = dtype.itemsize / torch.float32.itemsize
    gpus = {p.device for p in model.parameters() if p.device.type == "cuda"}
    dense = replace(
        config.model,
        parameters=n_parameters(model),
        dtype=Dtype.float32,
        quantization=Quantization.none,
    )
    plain = replace(config.gradients, workers=1, checkpointing=False)
    needed = peak_memory(
        replace(config, model=dense, gradients=plain, training=TrainingConfig()),
        Hardware("cuda" if gpus else "cpu"),
        n_tokens,
    )
    assert needed is not None, "the number of parameters is given"
    shapes = [shape for site in sites for shape in projection_shapes(site).values()]
    gradients = sum(m * n for m, n in shapes) * dtype.itemsize / 1e9
    total = widths * (needed.weights + needed.activations) + gradients + needed.overhead
    have = _capacity_gb(config, gpus)
    if have is None or total <= have:
        return ""
    name = str(dtype).removeprefix("torch.")
    return f"{name} takes about {amount(total)}, and there are {amount(have)}"


def _capacity_gb(config: Config, gpus: set[torch.device]) -> float | None:
    if gpus:
        return sum(torch.cuda.mem_get_info(gpu)[1] for gpu in gpus) / 1e9
    return capacity_gb(config.model, this_machine("cpu"))
