"""Where a model's weights go: to one device, or spread over the GPUs of a node.

A spread is planned on a model without weights, so that one that does not fit is refused, with its
size, before anything is read. Nothing is ever offloaded to the host or to a disk: that would turn
minutes into days without a word.
"""

from __future__ import annotations

from typing import Any

import torch
from accelerate.utils.dataclasses import CustomDtype
from accelerate.utils.modeling import (
    compute_module_sizes,
    get_balanced_memory,
    infer_auto_device_map,
)
from torch import nn
from transformers import PreTrainedModel

from gradsweep.config import Dtype, ModelConfig, Quantization
from gradsweep.errors import ConfigError, ModelError, counted
from gradsweep.models.footprint import amount

Placement = dict[str, int | torch.device]
"""Dotted name of a module ("" is the whole model) -> the device of all that it holds."""

WEIGHTS_SHARE = {Quantization.none: 0.9, Quantization.nf4: 0.8}
"""Share of a GPU's free memory that weights may fill. Activations take the rest, and with 4 bits
the scales, which the estimate leaves out."""


def resolve_device(device: str) -> torch.device:
    """Return the torch device that `gradients.device` names.

    Raises:
        ConfigError: it is not auto, cpu, cuda or cuda:N, or this machine does not have it.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device("cuda" if count else "cpu")
    allowed = ["auto", "cpu"] + ["cuda"] * bool(count) + [f"cuda:{i}" for i in range(count)]
    if device not in allowed:
        why = "" if count else " (torch sees no CUDA device here)"
        raise ConfigError(f"gradients.device={device}: allowed here are {', '.join(allowed)}{why}")
    return torch.device(device)


def free_gpu_memory() -> dict[int, int]:
    """Return the free bytes of each GPU of this machine, by its number; empty without a GPU.

    What torch keeps of freed tensors, such as an earlier model's, counts as free.
    """
    kept = [
        torch.cuda.memory_reserved(gpu) - torch.cuda.memory_allocated(gpu)
        for gpu in range(torch.cuda.device_count())
    ]
    return {gpu: torch.cuda.mem_get_info(gpu)[0] + size for gpu, size in enumerate(kept)}


def spread(skeleton: PreTrainedModel, config: ModelConfig, free: dict[int, int]) -> Placement:
    """Give every GPU about an equal part of the model, and no layer to two of them.

    Args:
        skeleton: the model on the meta device, in the dtype that it will be loaded in.
        config: the model's name, and whether it will be quantised.
        free: bytes by GPU.

    Raises:
        ModelError: the model does not fit; the message says what it and what less would take.
    """
    packed = _packed_weights(skeleton) if config.quantization is Quantization.nf4 else {}
    whole = _layer_classes(skeleton)
    share = WEIGHTS_SHARE[config.quantization]
    memory = get_balanced_memory(
        skeleton,
        {gpu: int(share * size) for gpu, size in free.items()},
        no_split_module_classes=whole,
        special_dtypes=packed,
    )
    placement: Placement = infer_auto_device_map(
        skeleton, memory, no_split_module_classes=whole, special_dtypes=packed
    )
    if not set(placement.values()) <= set(free):
        size = compute_module_sizes(skeleton, special_dtypes=packed)[""]
        raise ModelError(_too_large(config, size / 1e9, free, share))
    return placement


def _layer_classes(skeleton: nn.Module) -> list[str]:
    """Return the classes of all modules in lists; transformers' own list lacks some families."""
    lists = [module for module in skeleton.modules() if isinstance(module, nn.ModuleList)]
    return sorted({type(layer).__name__ for layers in lists for layer in layers})


def does_not_fit(config: ModelConfig, gigabytes: float | None, device: str) -> ModelError:
    """Build the error for a model that one device cannot hold; `gigabytes` is None if unknown."""
    size = "more memory" if gigabytes is None else amount(gigabytes)
    return ModelError(
        f"model={config.name} in {_kind(config)} takes {size}, which {device} does "
        f"not have free: use {_what_takes_less(config)}, another gradients.device, "
        "model.device_map=auto where there are several GPUs, or a smaller model"
    )


def _too_large(config: ModelConfig, gigabytes: float, free: dict[int, int], share: float) -> str:
    sizes = " + ".join(amount(size / 1e9) for size in free.values())
    return (
        f"model={config.name} in {_kind(config)} takes {amount(gigabytes)}, and model.device_map="
        f"auto has {sizes} free on {counted(len(free), 'GPU')}, of which weights may "
        f"fill {share:.0%}: use {_what_takes_less(config)}, more GPUs (hydra.launcher.per_model "
        "for a job), or a smaller model. Nothing is offloaded to the host's memory or to a disk"
    )


def _packed_weights(skeleton: nn.Module) -> dict[str, Any]:
    """Return the weights that bitsandbytes will keep in 4 bits: linear ones but the head's."""
    head = skeleton.get_output_embeddings()  # type: ignore[operator]
    modules = skeleton.named_modules()
    linear = [name for name, module in modules if type(module) is nn.Linear and module is not head]
    return {f"{name}.weight": CustomDtype.INT4 for name in linear}


def _kind(config: ModelConfig) -> str:
    if config.quantization is not Quantization.none:
        return f"{config.quantization.name} and {config.dtype.name}"
    return config.dtype.name


def _what_takes_less(config: ModelConfig) -> str:
    ways = ["model.dtype=bfloat16"] if config.dtype is Dtype.float32 else []
    if config.quantization is Quantization.none and not config.source.is_gguf:
        ways.append("model.quantization=nf4")
    return ", ".join(ways) or "fewer bits"
