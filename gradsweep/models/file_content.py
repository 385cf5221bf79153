"""Whether a model's files hold what their names say: a look at their first bytes and their size."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable
from pathlib import Path

from gradsweep.data.files import LFS_POINTER
from gradsweep.errors import ModelError

LOADED = (".safetensors", "config.json", "tokenizer.json", "tokenizer.model")
PAGE = re.compile(rb"\s*<(!doctype|html|\?xml|head)", re.IGNORECASE)
SPLIT_GGUF = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
HEADER_BYTES = 8
"""Of a safetensors file: the length of its header, little-endian."""


def check_folder(folder: Path) -> None:
    """Check the files of a model's folder that are loaded; raises as `check_content`."""
    names = sorted(entry.name for entry in folder.iterdir())
    check_content(folder / name for name in names if name.endswith(LOADED))


def check_content(files: Iterable[Path]) -> None:
    """Check files that are about to be loaded.

    Raises:
        ModelError: one is empty, unreadable, a Git LFS pointer, a web page, no JSON, or cut short.
    """
    for file in files:
        try:
            with file.open("rb") as opened:
                beginning = opened.read(512)
        except OSError as error:
            raise ModelError(f"{file} cannot be read: {error.strerror}") from error
        _check_beginning(file, beginning)
        if file.suffix == ".safetensors":
            _check_safetensors(file)
        elif file.suffix == ".json":
            _check_json(file)


def check_gguf_is_whole(file: Path) -> None:
    """Refuse one part of a GGUF file that was split.

    Raises:
        ModelError: says how the parts are joined.
    """
    split = SPLIT_GGUF.search(file.name)
    if split and int(split[1]) > 1:
        whole = SPLIT_GGUF.sub(".gguf", file.name)
        raise ModelError(
            f"model.source.path: {file} is one of {int(split[1])} parts of a split GGUF file, and "
            "transformers reads it whole only: join them with `llama-gguf-split --merge "
            f"{file.name} {whole}` and give {whole}"
        )


def _check_beginning(file: Path, beginning: bytes) -> None:
    if not beginning:
        raise ModelError(f"{file} is empty: download it again")
    if beginning.startswith(LFS_POINTER):
        raise ModelError(
            f"{file} is a Git LFS pointer, and not the file itself: run `git lfs pull` in its "
            "repository, or download it with `hf download`"
        )
    if PAGE.match(beginning):
        raise ModelError(
            f"{file} is a web page, perhaps one that says why the download was refused: look at it "
            "in an editor, and download the file again"
        )


def _check_json(file: Path) -> None:
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise ModelError(f"{file} is not JSON, or was cut short: {error}") from error
    named = isinstance(content, dict) and isinstance(content.get("model_type"), str)
    if file.name == "config.json" and not named:
        raise ModelError(
            f"{file} has no model_type, by which transformers knows the family: download it again, "
            'or write it into the file, as "model_type": "llama"'
        )


def _check_safetensors(file: Path) -> None:
    """Compare the size with what the header says the tensors take."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        head = opened.read(HEADER_BYTES)
        length = struct.unpack("<Q", head)[0] if len(head) == HEADER_BYTES else size
        if HEADER_BYTES + length > size:
            raise ModelError(f"{file} was cut short, or is no safetensors file: download it again")
        try:
            header = json.loads(opened.read(length))
            ends = [
                tensor["data_offsets"][1] for name, tensor in header.items() if name[:2] != "__"
            ]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ModelError(f"{file} is no safetensors file: its header is damaged") from error
    expected = HEADER_BYTES + length + max(ends, default=0)
    if size != expected:
        raise ModelError(
            f"{file} was cut short: it has {size} bytes of {expected}; download it again"
        )
