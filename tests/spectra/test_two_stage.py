"""Kernels for eigenvalues, run on the CPU: by Triton's interpreter, and as C++."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from helpers.cuda_on_cpu import COMPILER, SHARED_ELEMENTS, ChaseOnCpu
from torch.utils import cpp_extension

from gradsweep.engine.spectra.backends import eigenvalue_ways, eigenvalues, trials, two_stage

CPU = torch.device("cpu")
WITHIN = 1e-14
"""Of the largest eigenvalue; LAPACK's own are off by about 1e-15."""


interpreted = pytest.mark.skipif(
    find_spec("triton") is None or os.environ.get("TRITON_INTERPRET") != "1" or not COMPILER,
    reason="needs Triton, a compiler, and no GPU, where test_eigenvalues.py runs the kernels",
)


def grams(n: int, count: int, rank: int | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    factors = torch.randn(count, n, rank or n, dtype=torch.float64, generator=generator)
    return factors @ factors.mT


def assert_solved(matrices: torch.Tensor) -> None:
    """By the lower triangles alone."""
    true = torch.linalg.eigvalsh(matrices)
    above = torch.full_like(matrices, torch.nan).triu(1)
    found, failed = two_stage.eigvalsh(matrices.tril() + above)
    assert not failed.any()
    assert ((found - true).abs() <= WITHIN * true.abs().amax(1, keepdim=True)).all()


@pytest.fixture(scope="module")
def chase(tmp_path_factory: pytest.TempPathFactory) -> ChaseOnCpu:
    return ChaseOnCpu(tmp_path_factory.mktemp("chase"), two_stage.WIDTH)


@pytest.fixture(params=[True, False], ids=["in shared memory", "where it is"])
def on_cpu(
    chase: ChaseOnCpu, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 8 * SHARED_ELEMENTS if request.param else 0
    monkeypatch.setattr(two_stage, "_chase", lambda device, width: (chase, most))
    monkeypatch.setattr(two_stage, "SMALLEST", 32)  # so that programs of several sizes take turns


@interpreted
@pytest.mark.parametrize("n", [1, 2, *(pytest.param(n, marks=pytest.mark.long) for n in (16, 17))])
def test_eigenvalues_are_those_of_torch(on_cpu: None, n: int) -> None:
    assert_solved(grams(n, 2))


@interpreted
@pytest.mark.long
@pytest.mark.parametrize(("n", "rank"), [(49, 49), (66, 20)])
def test_eigenvalues_of_matrices_of_several_panels(on_cpu: None, n: int, rank: int) -> None:
    assert_solved(grams(n, 1, rank))


@interpreted
@pytest.mark.long
def test_matrices_that_are_singular_or_of_any_scale(on_cpu: None) -> None:
    n = 20
    ones, few = torch.ones(n, n, dtype=torch.float64), grams(n, 1, rank=2)[0]
    blocks = torch.block_diag(grams(9, 1)[0], torch.zeros(2, 2), grams(9, 1)[0]).double()
    tiny, huge = few * 1e-200, few * 1e200
    eye = torch.eye(n, dtype=torch.float64)
    assert_solved(torch.stack([torch.zeros_like(ones), eye, ones, few, blocks, tiny, huge]))


@interpreted
@pytest.mark.long
def test_a_matrix_without_eigenvalues_is_told_and_leaves_the_others_alone(on_cpu: None) -> None:
    matrices = grams(20, 3)
    true = torch.linalg.eigvalsh(matrices)
    matrices[1, 19, 2] = torch.nan
    found, failed = two_stage.eigvalsh(matrices)
    assert failed.tolist() == [False, True, False]
    torch.testing.assert_close(found[[0, 2]], true[[0, 2]])


def test_the_chase_needs_no_toolkit_of_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    with pytest.raises(OSError, match="CUDA_HOME"):
        cpp_extension.include_paths("cuda")
    with two_stage._any_toolkit():
        cpp_extension.include_paths("cuda")
    assert cpp_extension.CUDA_HOME is None
    source = Path(two_stage.__file__).with_name("chase.cu").read_text(encoding="utf-8")
    assert "#include" not in source


def wrong(matrices: torch.Tensor) -> list[eigenvalue_ways.Solving]:
    return [eigenvalue_ways.Solving((matrices[:, 0] * 1.001, torch.zeros(len(matrices))))]


def failing(matrices: torch.Tensor) -> list[eigenvalue_ways.Solving]:
    raise RuntimeError("no compiler")


@pytest.fixture
def four_ways(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def of_test(device: torch.device, n: int) -> list[eigenvalue_ways.Way]:
        return [wrong, failing, eigenvalue_ways.by_torch, eigenvalue_ways.on_host]

    eigenvalues.fastest_way.cache_clear()
    monkeypatch.setattr(eigenvalues, "ways", of_test)
    monkeypatch.setattr(
        eigenvalues, "_seconds", lambda way, trial: 2.0 if way is eigenvalue_ways.by_torch else 1.0
    )
    yield
    eigenvalues.fastest_way.cache_clear()


def test_a_way_that_is_wrong_or_fails_is_left_out_and_named(
    four_ways: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "gradsweep"):
        assert eigenvalues.fastest_way(CPU, 32) is eigenvalue_ways.on_host
    told = " ".join(record.getMessage() for record in caplog.records)
    assert "without wrong: it is wrong on cpu" in told
    assert "without failing, which fails: no compiler" in told


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What trials keep, of a device that is the CPU by another name."""
    names: list[str] = []
    grams = eigenvalues._grams
    monkeypatch.setattr(eigenvalues, "_grams", lambda device, n, count: grams(CPU, n, count))
    monkeypatch.setattr(eigenvalues, "batch_elements", lambda device: 2**20)
    monkeypatch.setattr(trials, "kept", lambda device, name: None)
    monkeypatch.setattr(trials, "keep", lambda device, name, way: names.append(way))
    return names


def tried(some: list[eigenvalue_ways.Way]) -> eigenvalue_ways.Way:
    return eigenvalues._tried(torch.device("cuda"), 4, some, 100, "4")


def test_what_a_fault_or_a_lack_of_memory_decides_is_not_kept(
    kept: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[int] = []

    def seconds(way: eigenvalue_ways.Way, trial: torch.Tensor) -> float:
        timed.append(len(trial))
        if len(trial) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 2.0 if way is torch_s else 1.0

    monkeypatch.setattr(eigenvalues, "_seconds", seconds)
    torch_s, host_s, room = eigenvalue_ways.by_torch, eigenvalue_ways.on_host, 100
    assert tried([torch_s, host_s, failing]) is host_s
    assert kept == [], "with its compiler the failing one may be ahead"
    room = 30
    assert tried([torch_s, host_s]) is host_s
    assert (timed[-4:], kept) == ([100, 50, 25, 25], [])
    room = 0
    assert tried([torch_s, host_s]) is torch_s, "which halves its batches"
    assert kept == []
    room = 100
    assert tried([torch_s, host_s]) is host_s
    assert kept == ["on_host"]


def test_what_a_trial_has_shown_is_kept_for_the_same_device_and_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert trials.kept(CPU, "64") is None
    trials.keep(CPU, "64", "on_host")
    trials.keep(CPU, "128", "by_torch")
    assert trials.kept(CPU, "64") == "on_host"
    assert trials.kept(CPU, "128") == "by_torch"
    monkeypatch.setattr(torch, "__version__", "9.9")
    assert trials.kept(CPU, "64") is None


def test_a_record_that_cannot_be_read_or_written_is_as_good_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    trials.keep(CPU, "64", "on_host")
    (file,) = trials.trial_folder().iterdir()
    file.write_text("[1", encoding="utf-8")
    assert trials.kept(CPU, "64") is None
    monkeypatch.setattr(trials, "trial_folder", lambda: file / "below a file")
    with caplog.at_level(logging.WARNING, "gradsweep"):
        trials.keep(CPU, "64", "on_host")
    assert "XDG_CACHE_HOME" in caplog.text


def test_a_way_that_is_kept_is_taken_without_a_trial(
    four_ways: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "kept", lambda device, n: "by_torch")
    assert eigenvalues.fastest_way(CPU, 32) is eigenvalue_ways.by_torch
    eigenvalues.fastest_way.cache_clear()
    monkeypatch.setattr(trials, "kept", lambda device, n: "wrong")
    assert eigenvalues.fastest_way(CPU, 32) is eigenvalue_ways.on_host


def test_many_matrices_may_be_solved_another_way_than_few(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, library = eigenvalue_ways.by_two_stages, eigenvalue_ways.by_cusolver
    monkeypatch.setattr(eigenvalues, "ways", lambda device, n: [ours, library])
    monkeypatch.setattr(eigenvalues, "_is_right", lambda *given: True)
    monkeypatch.setattr(
        eigenvalues, "_seconds", lambda way, trial: float((way is ours) == (len(trial) < 1000))
    )
    for cached in (eigenvalues.fastest_way, eigenvalues.fastest_of_many):
        cached.cache_clear()
    try:
        chosen = [eigenvalues.way_for(CPU, 4, count) for count in (1, 511, 512, 4000)]
        assert chosen == [library, library, ours, ours]
    finally:
        for cached in (eigenvalues.fastest_way, eigenvalues.fastest_of_many):
            cached.cache_clear()
