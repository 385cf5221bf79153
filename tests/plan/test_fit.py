"""A model that this machine has no memory for is refused before it is loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.model_files import write_model
from safetensors.numpy import save_file

import gradsweep
from gradsweep.cli import main
from gradsweep.errors import ConfigError
from gradsweep.plan.estimate import Hardware
from gradsweep.plan.estimate import hardware as hardware_module
from gradsweep.plan.fit import require_memory_here

Captured = pytest.CaptureFixture[str]
LARGE = ["model=llama3.1_70b", "tracking=none", "n_samples=1"]


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A CPU with 24 GB, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    machine = Hardware("cpu", "a CPU", 24.0, cores=2)
    monkeypatch.setattr("gradsweep.plan.fit.this_machine", lambda device: machine)


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize("before", [[], ["-m"], ["verify"], ["doctor"]])
def test_a_run_is_refused_with_the_ways_out(
    before: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradsweep.models.cache.load_model", None)
    assert main([*before, *LARGE]) == 1
    told = capsys.readouterr().err
    assert told.count("error:") == 1
    for text in ("model=llama3.1_70b in float32 needs", "24 GB", "gradients.check_memory=false"):
        assert text in told, told
    assert not list(Path().glob("results/points/*"))


@pytest.mark.usefixtures("small_machine")
def test_python_is_refused_too_and_whoever_insists_is_not() -> None:
    with pytest.raises(ConfigError, match="needs about"):
        gradsweep.extract(gradsweep.compose(*LARGE), show_progress=False)
    require_memory_here([gradsweep.compose(*LARGE, "gradients.check_memory=false")])
    require_memory_here([gradsweep.compose("model=qwen2_1.5b")])


@pytest.mark.usefixtures("small_machine")
def test_a_point_that_trains_is_looked_at_beside_one_that_does_not() -> None:
    plain = gradsweep.compose("model=qwen2_1.5b")
    full = gradsweep.compose("model=qwen2_1.5b", "training=full")
    require_memory_here([plain, gradsweep.compose("model=qwen2_1.5b", "training=lora")])
    with pytest.raises(ConfigError, match="needs about"):
        require_memory_here([plain, full])


@pytest.mark.usefixtures("small_machine")
def test_a_folder_counts_by_the_headers_of_its_weights(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")
    config = gradsweep.compose("model=folder", f"model.source.path={folder}")
    require_memory_here([config])
    save_file({"weight": np.zeros((2, 1), np.float32)}, folder / "model.safetensors")
    header = (folder / "model.safetensors").read_bytes()
    wide = header.replace(b"[2,1]", b"[9999999999,1]").replace(b"[0,8]", b"[0,39999999996]")
    content = wide.partition(b"}}")[0] + b"}}"
    length = len(content) - 8
    with (folder / "model.safetensors").open("wb") as file:
        file.write(length.to_bytes(8, "little") + content[8:])
        file.truncate(8 + length + 39999999996)  # no block of it is on the disk
    with pytest.raises(ConfigError, match=r"in float32 needs about \d+\.\d GB \(weights 40"):
        require_memory_here([config])


def test_batches_side_by_side_are_no_reason_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Hardware("cpu", "a CPU", 3.0, cores=64)
    monkeypatch.setattr("gradsweep.plan.fit.this_machine", lambda device: machine)
    require_memory_here([gradsweep.compose()])
    with pytest.raises(ConfigError, match="needs about"):
        require_memory_here([gradsweep.compose("gradients.workers=8")])


def test_a_container_has_its_own_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(hardware_module, "CONTAINER_LIMITS", (str(limit),))
    whole = hardware_module.this_machine("cpu").memory_gb
    limit.write_text("max\n")
    assert hardware_module.this_machine("cpu").memory_gb == whole
    limit.write_text("1000000000\n")
    assert hardware_module.this_machine("cpu").memory_gb == 1.0
