"""What the headers of weight files tell before they are loaded: which tensor is where, as what.

transformers reads every tensor of every file that an index names, and of two copies keeps the one
that comes last; and it reads integers as the numbers that they are, with scales or without.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from gradsweep.errors import ModelError, few
from gradsweep.models.fingerprint import weight_files
from gradsweep.models.source import SHARD_INDEX, read_object
from gradsweep.models.weights import DERIVED

_INTEGERS = ("I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64")
_NARROW = ("I8", "U8")
"""No index of a position is of these, whatever the tensor is called."""


@dataclass(frozen=True)
class _Stored:
    """A tensor in a file."""

    name: str
    file: Path
    dtype: str
    shape: tuple[int, ...]

    @property
    def content(self) -> tuple[str, tuple[int, ...], bytes]:
        """What two copies have alike, to the last bit."""
        with safe_open(self.file, "pt") as opened:
            values = opened.get_tensor(self.name).flatten().view(torch.uint8)
        return self.dtype, self.shape, values.numpy().tobytes()


def check_stored_tensors(folder: Path, model: str) -> None:
    """Refuse weights of which a load would make others, by the headers of their files.

    Raises:
        ModelError: two files have a tensor by one name and with other values; or weights are
            integers, and no quantization in the config says what they stand for.
    """
    stored = [tensor for file in _safetensors(folder) for tensor in _stored_in(file)]
    _check_one_copy(stored, folder, model)
    _check_no_integers(stored, folder, model)


def _safetensors(folder: Path) -> list[Path]:
    names = (name for name in weight_files(folder) if name.endswith(".safetensors"))
    return [folder / name for name in names if (folder / name).is_file()]


def _stored_in(file: Path) -> Iterator[_Stored]:
    with safe_open(file, "pt") as opened:
        for name in opened.keys():  # noqa: SIM118 - no mapping
            tensor = opened.get_slice(name)
            yield _Stored(name, file, tensor.get_dtype(), tuple(tensor.get_shape()))


def _check_one_copy(stored: list[_Stored], folder: Path, model: str) -> None:
    first: dict[str, _Stored] = {}
    twice: list[str] = []
    for tensor in stored:
        other = first.setdefault(tensor.name, tensor)
        if other is not tensor and other.content != tensor.content:
            twice.append(f"{tensor.name} ({other.file.name} and {tensor.file.name})")
    if twice:
        raise ModelError(
            f"model={model}: {len(twice)} tensors are in two of the files that "
            f"{folder / SHARD_INDEX} names, with other values in each, and a load takes the last, "
            f"whatever the index says: {few(twice)}. The files are of different saves: copy all of "
            "them again, or save the model again by save_pretrained into an empty folder"
        )


def _check_no_integers(stored: list[_Stored], folder: Path, model: str) -> None:
    if _is_quantised(read_object(folder / "config.json")):
        return  # which says what integers stand for, or transformers refuses them
    integers = [f"{tensor.name} ({tensor.dtype})" for tensor in stored if _is_integer(tensor)]
    if integers:
        raise ModelError(
            f"model={model}: {len(integers)} weights in {folder} are integers, and its config.json "
            f"has no quantization_config that says what they stand for: {few(integers)}. Give the "
            "config.json that they were quantised with, or weights in bfloat16, float16 or float32"
        )


def _is_quantised(config: dict[str, Any]) -> bool:
    parts = [config, *(part for part in config.values() if isinstance(part, dict))]
    return any(part.get("quantization_config") for part in parts)


def _is_integer(tensor: _Stored) -> bool:
    """Whether a weight is of integers; masks and indices that are saved beside weights are none."""
    if tensor.dtype not in _INTEGERS or DERIVED.search(tensor.name):
        return False
    is_matrix = len(tensor.shape) > 1 and math.prod(tensor.shape) > 0
    return tensor.name.endswith((".weight", ".bias")) or (is_matrix and tensor.dtype in _NARROW)
