"""What tells one model from another: the content of its files where these lie on this machine.

Of a folder count the weights that transformers would load, `config.json` and everything that a
tokenizer is made of; names of the folder, its place and other files (`generation_config.json`,
optimizer states, logs) do not. Of a GGUF file count its bytes, and the tokenizer files beside it,
which transformers prefers to the file's own. A hub id, and a package with its version, are names
that others keep.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gradsweep.config import ModelSource, SourceKind
from gradsweep.models.file_hashes import file_hashes
from gradsweep.models.source import read_object, resolve, weights_file

CONFIG_FILES = ("config.json", "config.*.json")
TOKENIZER_PATTERNS = (
    "tokenizer*",
    "*.tokenizer",
    "special_tokens_map*.json",
    "added_tokens*.json",
    "chat_template*",
    "additional_chat_templates/*.jinja",
    "*vocab*",
    "*merges*",
    "*.model",
    "*.model.v*",
    "*.spm",
    "*.tiktoken",
    "bpe.codes",
    "byte_maps.json",
    "dict.txt",
    "emoji.json",
    "normalizer.json",
    "tekken.json",
    "word_*.json",
)
"""Every file that a tokenizer of transformers reads, and none that a training writes beside."""


def source_identity(source: ModelSource) -> dict[str, Any]:
    """The part of a point's id that says which model it is, as plain values.

    Raises:
        ConfigError, ModelError: as `content_fingerprint`.
    """
    if source.kind in (SourceKind.folder, SourceKind.gguf):
        return {"kind": source.kind.name, "content": content_fingerprint(source)}
    names = {
        SourceKind.hub: ("hub_id", "revision"),
        SourceKind.package: ("package", "version", "files"),
    }[source.kind]
    return {"kind": source.kind.name} | {name: getattr(source, name) for name in names}


def content_fingerprint(source: ModelSource) -> str:
    """16 hex digits that change when a folder's or GGUF file's content changes, not its place.

    A file is read once while it stays the same (`file_hashes`), so that this may be asked for
    every point of a grid.

    Raises:
        ModelError: the folder or file is missing, incomplete, unreadable or being written.
    """
    located = resolve(source)
    folder = Path(located.location)
    if located.gguf_file:
        paths = {"gguf": folder / located.gguf_file}
    else:
        paths = {name: folder / name for name in _model_files(folder)}
    paths |= {name: folder / name for name in _matching(folder, TOKENIZER_PATTERNS)}
    hashes = file_hashes(paths.values())
    content = sorted((name, hashes[path]) for name, path in paths.items())
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _model_files(folder: Path) -> Iterator[str]:
    """Config and weights, named relative to the folder."""
    yield from _matching(folder, CONFIG_FILES)
    yield from weight_files(folder)


def weight_files(folder: Path) -> Iterator[str]:
    """The files that transformers would load weights from, and their index; by name."""
    chosen = weights_file(folder)
    if chosen is None:
        return
    yield chosen
    if chosen.endswith(".index.json"):
        shards = read_object(folder / chosen).get("weight_map")
        yield from sorted(set(shards.values())) if isinstance(shards, dict) else []


def _matching(folder: Path, patterns: tuple[str, ...]) -> Iterator[str]:
    """Files that fit a pattern, each once, by name."""
    entries = [*folder.iterdir(), *_templates(folder)]
    for name in sorted(path.relative_to(folder).as_posix() for path in entries):
        fits = any(fnmatchcase(name, p) and p.count("/") == name.count("/") for p in patterns)
        if fits and (folder / name).is_file():
            yield name


def _templates(folder: Path) -> list[Path]:
    nested = folder / "additional_chat_templates"
    return list(nested.iterdir()) if nested.is_dir() else []
