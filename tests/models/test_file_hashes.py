"""Hashes of large files: right after every change, and read from disk once."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from helpers.model_files import age, write_model

from gradsweep.errors import ModelError
from gradsweep.models import file_hashes as module
from gradsweep.models.file_hashes import LARGE, file_hashes, hash_folder
from gradsweep.plan import make_plan


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    module._in_process.clear()
    return hash_folder()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"a" * LARGE)
    age(file)
    return file


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read, in order."""
    read: list[Path] = []
    original = module._chunk_digest

    def watched(path: Path, start: int) -> bytes:
        read.append(path)
        return original(path, start)

    monkeypatch.setattr(module, "_chunk_digest", watched)
    return read


def hash_of(path: Path) -> str:
    return file_hashes([path])[path]


# --- right


def test_equal_bytes_have_equal_hashes_and_others_have_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 8)
    monkeypatch.setattr(module, "BLOCK", 3)
    whole = bytes(range(24))
    swapped = whole[8:16] + whole[:8] + whole[16:]
    contents = [b"", b"\0", whole, swapped, whole[:23], whole[:16], whole + b"\0"]
    contents += [whole[:i] + b"x" + whole[i + 1 :] for i in range(24)]
    for copy in "ab":
        for number, content in enumerate(contents):
            (tmp_path / f"{copy}{number}").write_bytes(content)
    hashes = file_hashes(tmp_path.iterdir())
    for number in range(len(contents)):
        assert hashes[tmp_path / f"a{number}"] == hashes[tmp_path / f"b{number}"]
    assert len(set(hashes.values())) == len(contents)


@pytest.mark.parametrize("replaced", [False, True])
def test_other_bytes_of_the_same_size_and_time_are_noticed(large: Path, replaced: bool) -> None:
    before, stat = hash_of(large), large.stat()
    if replaced:
        large.unlink()
    large.write_bytes(b"b" * LARGE)
    os.utime(large, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert hash_of(large) != before
    module._in_process.clear()
    assert hash_of(large) != before


def test_a_file_that_is_still_being_written_is_an_error(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = module._chunk_digest

    def meanwhile(path: Path, start: int) -> bytes:
        with path.open("ab") as file:
            file.write(b"more")
        return original(path, start)

    monkeypatch.setattr(module, "_chunk_digest", meanwhile)
    with pytest.raises(ModelError, match="was written to while it was read: wait"):
        hash_of(large)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.safetensors").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"model\.source\.path: cannot read .*gone\.safetensors"):
        hash_of(tmp_path / "gone.safetensors")


# --- read once


def test_a_later_process_does_not_read_a_large_file_again(large: Path, reads: list[Path]) -> None:
    first = hash_of(large)
    module._in_process.clear()
    assert hash_of(large) == first
    assert reads == [large]


def test_the_same_file_through_a_link_is_read_once(
    large: Path, reads: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(large)
    first = hash_of(large)
    module._in_process.clear()
    assert hash_of(tmp_path / "link") == first
    assert reads == [large]


def test_what_was_written_a_moment_ago_is_not_remembered(
    large: Path, reads: list[Path], cache: Path
) -> None:
    """One more write within the clock's grain would go unnoticed."""
    os.utime(large)
    assert hash_of(large) == hash_of(large)
    assert reads == [large, large]
    assert not cache.exists()


def test_points_of_a_grid_read_their_model_once(tmp_path: Path, reads: list[Path]) -> None:
    folder = write_model(tmp_path / "m")
    age(folder)
    grid = ["cot=none,simplified,detailed", "correctness=correct,irrelevant"]
    model = ["model=folder", f"model.source.path={folder}", f"store.root={tmp_path / 'results'}"]
    assert len(make_plan([*model, *grid], multirun=True).points) == 6
    assert len(reads) == len(set(reads)) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record.write_text("{"),
        lambda record: record.write_text("[]"),
        lambda record: record.write_bytes(b"\xff\x00"),
        lambda record: record.write_text(
            json.dumps(json.loads(record.read_text()) | {"sha256": 1})
        ),
        lambda record: record.write_text(record.read_text().replace("inode", "outode")),
        lambda record: (record.unlink(), record.mkdir()),
    ],
)
def test_a_damaged_record_is_as_good_as_none(
    large: Path, cache: Path, damage: Callable[[Path], Any]
) -> None:
    first = hash_of(large)
    (record,) = cache.iterdir()
    damage(record)
    module._in_process.clear()
    assert hash_of(large) == first


def test_processes_may_hash_at_once(large: Path, cache: Path) -> None:
    def as_a_process(_: int) -> str:
        module._in_process.clear()
        return hash_of(large)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(as_a_process, range(32)))) == 1
    assert [path.suffix for path in cache.iterdir()] == [".json"]


def test_without_a_place_for_records_it_says_so_and_goes_on(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = hash_of(large)
    (tmp_path / "a-file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a-file"))
    module._in_process.clear()
    with caplog.at_level(logging.WARNING, "gradsweep"):
        assert hash_of(large) == expected
    assert "XDG_CACHE_HOME" in caplog.text


def test_a_long_read_is_announced(
    large: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "LONG", LARGE)
    hash_of(large)
    assert f"reading 0.0 GB in {large.parent}" in capsys.readouterr().err
    module._in_process.clear()
    hash_of(large)
    assert not capsys.readouterr().err
