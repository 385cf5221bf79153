"""The size of a model is read from the headers of its files, and guessed from nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.model_files import write_model
from safetensors.numpy import save_file

from gradsweep import compose
from gradsweep.models.parameters import parameters_of


def counted(path: Path, kind: str = "folder") -> int | None:
    return parameters_of(compose(f"model={kind}", f"model.source.path={path}").model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_model(tmp_path / "mine")
    tensors = {"weight": np.zeros((3, 4), np.float32), "position_ids": np.zeros(9, np.int64)}
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_weights_are_counted_and_tables_of_whole_numbers_are_not(folder: Path) -> None:
    assert counted(folder) == 12
    save_file({"weight": np.zeros((5, 4), np.float16)}, folder / "model.safetensors")
    assert counted(folder) == 20, "counted again when the file has changed"


def test_of_a_checkpoint_in_parts_the_parts_of_the_index_count(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    save_file({"more": np.zeros((2, 2), np.float32)}, folder / "b.safetensors")
    save_file({"unused": np.zeros((9, 9), np.float32)}, folder / "optimizer.safetensors")
    index = {"weight_map": {"weight": "a.safetensors", "more": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert counted(folder) == 16


def test_what_does_not_tell_is_unknown(folder: Path, tmp_path: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "llama", "quantization_config": {}}')
    assert counted(folder) is None, "packed weights take less than their number says"
    assert counted(write_model(tmp_path / "damaged")) is None
    assert counted(tmp_path / "nowhere") is None
    (tmp_path / "damaged.gguf").write_bytes(b"GGUF")
    assert counted(tmp_path / "damaged.gguf", "gguf") is None


def test_what_an_option_says_counts(folder: Path) -> None:
    given = ["model=folder", f"model.source.path={folder}", "model.parameters=7"]
    assert parameters_of(compose(*given).model) == 7
