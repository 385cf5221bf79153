"""Weights that are no numbers: which tensors, in which file, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from gradsweep.config import Dtype, ModelConfig
from gradsweep.errors import WeightsError, few
from gradsweep.models.fingerprint import weight_files
from gradsweep.models.load import LoadedModel
from gradsweep.models.parameters import local_folder


def check_finite_weights(loaded: LoadedModel, config: ModelConfig) -> None:
    """Refuse weights with entries that are NaN or infinite; of ranks that share them, all do.

    It reads every weight, so it is asked where a loss is no number.

    Raises:
        WeightsError: names the tensors, the file that has them, and what to do.
    """
    wrong = dict(_not_finite(loaded.model))
    if not loaded.on_any_rank(bool(wrong)):
        return
    named = [f"{name} ({n} of {size} entries)" for name, (n, size) in wrong.items()]
    tensors = few(named, most=5) if wrong else "some of another process's share"
    raise WeightsError(
        f"model={config.name}: weights are NaN or infinite, and so would every loss be: {tensors}"
        f"{_place(config, next(iter(wrong), ''))}. {_remedy(config)}"
    )


def _not_finite(model: nn.Module) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name -> entries that are no numbers, and all entries, of this process's weights."""
    for name, weight in model.named_parameters():
        here = weight.to_local() if hasattr(weight, "to_local") else weight  # of FSDP2
        if here.is_floating_point() and (wrong := int((~torch.isfinite(here)).sum())):
            yield name, (wrong, here.numel())


def _place(config: ModelConfig, name: str) -> str:
    """Where the tensor is; empty where no file here tells."""
    folder = local_folder(config)
    if folder is None:
        return f", in {config.source.path}" if config.source.path else ""
    files = [folder / file for file in weight_files(folder)]
    holding = next((file for file in files if _holds(file, name)), None)
    return f", in {holding}" if holding else ""


def _holds(file: Path, name: str) -> bool:
    """Whether the tensor is in the file, which may have a wrapper's name before its own."""
    if file.suffix != ".safetensors":
        return False
    ours = f".{name}"
    with safe_open(file, "pt") as tensors:
        theirs = [f".{key}" for key in tensors.keys()]  # noqa: SIM118 (it is no mapping)
    return any(ours.endswith(key) or key.endswith(ours) for key in theirs)


def _remedy(config: ModelConfig) -> str:
    if config.dtype is Dtype.float16:
        return (
            "float16 holds nothing above 65504: type model.dtype=bfloat16 or float32; where that "
            "does not help, the file is damaged, or the training that saved it diverged"
        )
    return (
        "The file is damaged, or the training that saved it diverged: copy it again, or take an "
        "earlier checkpoint"
    )
