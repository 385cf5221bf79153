"""A model in a folder or GGUF file counts by what is in it, not by its place or other files."""

from __future__ import annotations

import ast
import json
import re
import shutil
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import transformers
from helpers.model_files import write_model

from gradsweep.config import ModelSource, SourceKind
from gradsweep.errors import ModelError
from gradsweep.models.fingerprint import (
    TOKENIZER_PATTERNS,
    content_fingerprint,
    source_identity,
)


def in_folder(path: Path | str) -> ModelSource:
    return ModelSource(kind=SourceKind.folder, path=str(path))


def in_file(path: Path | str) -> ModelSource:
    return ModelSource(kind=SourceKind.gguf, path=str(path))


def fingerprint(folder: Path) -> str:
    return content_fingerprint(in_folder(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "run" / "last")


# --- one model, one identity and one name


def test_however_its_path_is_typed_a_folder_is_one_model_with_one_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "latest").symlink_to(folder)
    (tmp_path / "runs").symlink_to(folder.parent)
    spellings = [
        str(folder),
        f"{folder}/",
        "last",
        "./last",
        "../run/last",
        "~/run/last",
        str(tmp_path / "latest"),
        str(tmp_path / "runs" / "last"),
    ]
    sources = [in_folder(path) for path in spellings]
    assert len({json.dumps(source_identity(source)) for source in sources}) == 1
    assert len({source.label() for source in sources}) == 1


def test_a_gguf_file_has_one_identity_and_name_through_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "m.Q8.gguf"
    file.write_bytes(b"GGUF weights")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "now.gguf").symlink_to(file)
    sources = [in_file(path) for path in (file, "m.Q8.gguf", "./m.Q8.gguf", "now.gguf")]
    assert len({json.dumps(source_identity(source)) for source in sources}) == 1
    assert len({source.label() for source in sources}) == 1
    assert sources[0].label().startswith("m.Q8-")


def test_a_file_of_the_hubs_cache_is_named_by_its_link_and_not_by_its_hash(tmp_path: Path) -> None:
    blob = tmp_path / "blobs" / ("ab" * 32)
    blob.parent.mkdir()
    blob.write_bytes(b"GGUF weights")
    (tmp_path / "m.Q8.gguf").symlink_to(blob)
    assert in_file(tmp_path / "m.Q8.gguf").label().startswith("m.Q8-")


def test_folders_of_one_name_keep_two_names(folder: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other" / "last")
    assert in_folder(folder).label() != in_folder(other).label()


def test_a_copy_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert fingerprint(copy) == fingerprint(folder)
    first, second = tmp_path / "a.gguf", tmp_path / "b.gguf"
    for file in (first, second):
        file.write_bytes(b"GGUF weights")
    assert content_fingerprint(in_file(first)) == content_fingerprint(in_file(second))


# --- what counts


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
        "additional_chat_templates/tool_use.jinja",
        "vocab.json",
        "merges.txt",
        "tokenizer.model",
        "tekken.json",
    ],
)
def test_files_that_decide_numbers_count(folder: Path, name: str) -> None:
    before = fingerprint(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b'{"one": 1}')
    first = fingerprint(folder)
    (folder / name).write_bytes(b'{"two": 2}')
    assert len({before, first, fingerprint(folder)}) == 3


@pytest.mark.parametrize(
    "name",
    [
        "generation_config.json",
        "README.md",
        "trainer_state.json",
        "training_args.bin",
        "optimizer.pt",
        "all_results.json",
        "consolidated.safetensors",
        "adapter_model.safetensors",
        "checkpoint-1/model.safetensors",
        ".cache/tokenizer.json",
    ],
)
def test_files_that_are_not_read_do_not_count(folder: Path, name: str) -> None:
    before = fingerprint(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"whatever")
    assert fingerprint(folder) == before


def test_of_shards_those_of_the_index_count(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    shards = ["model-1.safetensors", "model-2.safetensors"]
    for name in [*shards, "model-3.safetensors"]:
        (folder / name).write_bytes(name.encode())
    weight_map = {f"layer.{i}": name for i, name in enumerate(shards)}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    before = fingerprint(folder)
    (folder / "model-3.safetensors").write_bytes(b"of another training")
    assert fingerprint(folder) == before
    (folder / "model-2.safetensors").write_bytes(b"trained further")
    assert fingerprint(folder) != before


def test_weights_that_the_config_names_count_instead_of_others(folder: Path) -> None:
    (folder / "mine.safetensors").write_bytes(b"mine")
    (folder / "config.json").write_text('{"transformers_weights": "mine.safetensors"}')
    before = fingerprint(folder)
    (folder / "model.safetensors").write_bytes(b"not read")
    assert fingerprint(folder) == before
    (folder / "mine.safetensors").write_bytes(b"read")
    assert fingerprint(folder) != before


def test_a_tokenizer_beside_a_gguf_file_counts(tmp_path: Path) -> None:
    """transformers prefers it to the one in the file."""
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF weights")
    before = content_fingerprint(in_file(file))
    (tmp_path / "another.gguf").write_bytes(b"GGUF others")
    assert content_fingerprint(in_file(file)) == before
    (tmp_path / "tokenizer.json").write_text("{}")
    assert content_fingerprint(in_file(file)) != before


def test_every_file_that_a_tokenizer_of_transformers_reads_counts() -> None:
    sources = Path(transformers.__file__).parent.glob("models/*/tokenization_*.py")
    names = {
        name
        for source in sources
        for table in re.findall(
            r"^VOCAB_FILES_NAMES\s*=\s*(\{.*?\})", source.read_text(), re.M | re.S
        )
        for name in ast.literal_eval(table).values()
    }
    assert {"tokenizer.json", "merges.txt"} <= names
    assert [n for n in names if not any(fnmatchcase(n, p) for p in TOKENIZER_PATTERNS)] == []


@pytest.mark.parametrize("broken", ["{", "[]", '{"transformers_weights": "absent.safetensors"}'])
def test_a_config_that_cannot_be_used_counts_as_it_is(folder: Path, broken: str) -> None:
    """Loading says what is wrong with it."""
    before = fingerprint(folder)
    (folder / "config.json").write_text(broken)
    assert fingerprint(folder) != before


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.source\.path: .*nowhere is not a folder"):
        fingerprint(tmp_path / "nowhere")
