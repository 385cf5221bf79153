"""A file that is not what its name says is told by what it is, before anything is loaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gradsweep.config import ModelConfig, ModelSource, SourceKind
from gradsweep.errors import ModelError
from gradsweep.models import load_model

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGE = b"<!DOCTYPE html>\n<html><body>401 Unauthorized</body></html>"


@pytest.fixture
def folder(saved_model: Path, tmp_path: Path) -> Path:
    shutil.copytree(saved_model, tmp_path / "model")
    return tmp_path / "model"


def look(path: Path, kind: SourceKind = SourceKind.folder) -> None:
    source = ModelSource(kind=kind, path=str(path))
    load_model(ModelConfig(name="m", source=source, max_length=64), "cpu")


def test_a_whole_model_is_taken(folder: Path) -> None:
    look(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (POINTER, "Git LFS pointer.*git lfs pull"),
        (PAGE, "is a web page"),
        (b"", "is empty"),
    ],
)
def test_it_is_named_with_what_it_is(name: str, content: bytes, what: str, folder: Path) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{name} {what}|{name} is a {what}"):
        look(folder)


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "cut in the tensors": lambda b: b[:-1],
    "cut in the header": lambda b: b[:100],
    "of a few bytes": lambda b: b[:4],
    "longer than it says": lambda b: b + b"\0",
    "of noise": lambda b: bytes(range(1, 256)),
    "with a damaged header": lambda b: b[:8] + b"x" * (len(b) - 8),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_weights_are_whole(change: Callable[[bytes], bytes], folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ModelError, match=r"model\.safetensors (was cut short|is no safetensors)"):
        look(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_json_is_whole(name: str, folder: Path) -> None:
    content = (folder / name).read_text()
    (folder / name).write_text(content[: len(content) // 2])
    with pytest.raises(ModelError, match=f"{name} is not JSON, or was cut short"):
        look(folder)


@pytest.mark.parametrize("content", ["{}", '{"model_type": null}', "[]"])
def test_a_config_names_its_family(content: str, folder: Path) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(
        ModelError, match=r"config\.json has no model_type.*\"model_type\": \"llama\""
    ):
        look(folder)


def test_a_part_of_a_split_gguf_says_how_it_is_joined(tmp_path: Path) -> None:
    part = tmp_path / "m-00001-of-00003.gguf"
    part.write_bytes(b"GGUF...")
    with pytest.raises(ModelError, match=r"one of 3 parts .*llama-gguf-split --merge .* m\.gguf"):
        look(part, SourceKind.gguf)


def test_a_pointer_in_the_place_of_a_gguf_file(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(POINTER)
    with pytest.raises(ModelError, match="Git LFS pointer"):
        look(file, SourceKind.gguf)
