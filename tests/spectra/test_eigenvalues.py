"""Ways to the eigenvalues of matrices on a device: on the CPU, and on CUDA if there is one.

Torch's calls are the same on both, so that all but the trial's outcome can be tested anywhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.plain_gradients import mask, tokens

from gradsweep.config import SpectraOptions
from gradsweep.engine import Batch, make_batch
from gradsweep.engine.batch import Layout
from gradsweep.engine.eigenvalue_sizes import EigenvalueSizes
from gradsweep.engine.passes import Engine
from gradsweep.engine.spectra import CudaBackend, factor_spectra, many_spectra
from gradsweep.engine.spectra.backends import cusolver, eigenvalue_ways, eigenvalues
from gradsweep.engine.spectra.backends.transfers import to_host
from gradsweep.models.projections import find_projections

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device"))]  # fmt: skip


def grams(sizes: list[int], device: str = "cpu") -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    factors = [torch.randn(n, n, dtype=torch.float64, generator=generator) for n in sizes]
    return [(f @ f.T).to(device) for f in factors]


def assert_eigenvalues(found: np.ndarray, matrix: torch.Tensor) -> None:
    expected = np.linalg.eigvalsh(matrix.cpu().numpy())
    np.testing.assert_allclose(found, expected, atol=1e-12 * expected[-1])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n", [1, 33, 130])
def test_every_way_gives_the_eigenvalues(n: int, device: str) -> None:
    matrices = grams([n] * 5, device)
    for way in eigenvalue_ways.ways(matrices[0].device, n):
        assert_eigenvalues_by(way, matrices)


def assert_eigenvalues_by(way: eigenvalue_ways.Way, matrices: list[torch.Tensor]) -> None:
    solved = eigenvalue_ways.solved_by(way, torch.stack(matrices))
    for matrix, found in zip(matrices, solved, strict=True):
        assert found is not None
        assert_eigenvalues(found, matrix)


@pytest.mark.parametrize("device", DEVICES)
def test_sizes_may_mix_and_the_order_is_kept(device: str) -> None:
    sizes = [7, 40, 7, 1, 40, 100]
    matrices = grams(sizes, device)
    for matrix, found in zip(matrices, eigenvalues.eigvalsh(matrices), strict=True):
        assert found is not None
        assert_eigenvalues(found, matrix)


def test_a_batch_is_cut_where_it_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    stacked: list[int] = []
    solver = torch.linalg.eigvalsh

    def counted(stack: torch.Tensor) -> torch.Tensor:
        stacked.append(len(stack))
        return solver(stack)

    monkeypatch.setattr(torch.linalg, "eigvalsh", counted)
    monkeypatch.setattr(eigenvalue_ways, "BATCH_ELEMENTS", 2 * 20 * 20)
    matrices = torch.stack(grams([20] * 5))
    assert len(eigenvalue_ways.solved_by(eigenvalue_ways.by_torch, matrices)) == 5
    assert stacked == [2, 2, 1]


def test_one_bad_matrix_does_not_spoil_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(stack: torch.Tensor) -> torch.Tensor:
        raise torch.linalg.LinAlgError("failed to converge")

    monkeypatch.setattr(torch.linalg, "eigvalsh", refuses)
    assert_eigenvalues_by(eigenvalue_ways.by_torch, grams([12] * 3))


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A cuSOLVER on the CPU, which finds nothing for matrices of NaN; the sizes of its batches."""
    batches: list[int] = []

    def solve(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        batches.append(len(matrices))
        bad = matrices.isnan().flatten(1).any(1)
        return torch.linalg.eigvalsh(matrices.nan_to_num()), 3 * bad.int()

    monkeypatch.setattr(cusolver, "eigvalsh", solve)
    monkeypatch.setattr(cusolver, "is_available", lambda device: True)
    return batches


def test_what_cusolver_does_not_solve_is_left_out_alone(pretended: list[int]) -> None:
    matrices = grams([12] * 4)
    matrices[2].fill_(torch.nan)
    found = eigenvalue_ways.solved_by(eigenvalue_ways.by_cusolver, torch.stack(matrices))
    assert [eigenvalues is None for eigenvalues in found] == [False, False, True, False]
    for place in (0, 1, 3):
        assert_eigenvalues(found[place], matrices[place])  # type: ignore[arg-type]
    assert pretended == [4]


def test_where_cusolver_refuses_torch_solves(
    pretended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(matrices: torch.Tensor) -> None:
        raise cusolver.CusolverError("cuSOLVER status 7")

    monkeypatch.setattr(cusolver, "eigvalsh", refuses)
    assert_eigenvalues_by(eigenvalue_ways.by_cusolver, grams([12] * 3))


def test_fewer_at_a_time_where_the_workspace_does_not_fit(
    pretended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    solver = cusolver.eigvalsh

    def small(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if len(matrices) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return solver(matrices)

    monkeypatch.setattr(cusolver, "eigvalsh", small)
    assert_eigenvalues_by(eigenvalue_ways.by_cusolver, grams([12] * 7))
    assert pretended == [1, 2, 2, 2]


def test_cusolver_takes_part_where_it_is(pretended: list[int]) -> None:
    assert eigenvalue_ways.by_cusolver in eigenvalue_ways.ways(torch.device("cpu"), 32)
    eigenvalues.eigvalsh(grams([17, 20, 32]))
    assert pretended[0] == 2
    assert pretended[1] == eigenvalues.TRIAL_MATRICES


def test_cusolver_may_lie_in_a_folder_with_spaces() -> None:
    maps = "7f00-7f10 r-xp 00000000 08:01 42   /opt/lib/libc.so.6\n7f10-7f20 rw-p 0 0:0 0\n"
    assert cusolver._loaded(maps) is None
    path = "/mnt/First Last/venv/lib/libcusolver.so.12"
    maps += f"7f20-7f30 r-xp 00000000 08:01 43             {path}\n7f30-7f40 rw-p 0 0:0 0 [heap]\n"
    assert cusolver._loaded(maps) == path


def test_there_is_no_cusolver_on_a_cpu() -> None:
    assert not cusolver.is_available(torch.device("cpu"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cusolver_says_which_matrix_has_no_eigenvalues() -> None:
    matrices = torch.stack(grams([40] * 3, "cuda"))
    matrices[1] = torch.nan
    _, failed = cusolver.eigvalsh(matrices)
    assert [bool(code) for code in failed.tolist()] == [False, True, False]


def test_a_matrix_that_is_not_finite_is_solved_as_zeros_beside_the_others(
    pretended: list[int],
) -> None:
    """No solver is asked for what it cannot find; the others of its stack keep theirs."""
    good, bad, other = torch.stack(grams([6] * 2)), torch.stack(grams([6])), grams([9])[0][None]
    bad[0, 4, 2] = bad[0, 4, 4] = torch.inf
    started = eigenvalues.StartedEigenvalues([good.clone(), bad, other.clone()])
    found = list(started.finished(to_host(started.on_device)))
    for eigenvalues_of, matrix in zip([*found[:2], found[3]], [*good, *other], strict=True):
        assert eigenvalues_of is not None
        assert_eigenvalues(eigenvalues_of, matrix)
    assert found[2] is not None
    assert not found[2].any()


def test_a_class_of_sizes_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[int] = []
    clock = eigenvalues._seconds

    def counted(way: eigenvalue_ways.Way, trial: torch.Tensor) -> float:
        timed.append(trial.shape[-1])
        return clock(way, trial)

    monkeypatch.setattr(eigenvalues, "_seconds", counted)
    eigenvalues.eigvalsh(grams([17, 20, 32]))
    eigenvalues.eigvalsh(grams([31, 33]))
    n_ways = len(eigenvalue_ways.ways(torch.device("cpu"), 32))
    assert timed == [32] * n_ways + [64] * n_ways


def test_sizes_are_those_of_units_members_heads_and_inputs(
    tiny_model: Callable[[str], torch.nn.Module],
) -> None:
    """Else a trial would wait inside a pass."""
    sites = find_projections(tiny_model("llama_gqa"), "qkvo")
    n = sites[0].module.in_features
    layout = Layout(40, ((0, 5), (0, 7), (0, 40)), (2, 1))

    def sizes(options: SpectraOptions, members: bool = False) -> set[int]:
        ((_, found),) = EigenvalueSizes(sites, options, members, always_ready=()).of(layout)
        return found

    alone = sizes(SpectraOptions())
    assert 12 in alone
    assert alone.isdisjoint({5, 7})
    assert sizes(SpectraOptions(), members=True) == alone | {5, 7}
    assert sizes(SpectraOptions(optimizer_geometry=True)) == alone | {12, min(40, n)}


@pytest.mark.parametrize("default", ["meta", "cpu"])
def test_numbers_of_the_host_stay_there_whatever_the_default_device(default: str) -> None:
    with torch.device(default):
        found = eigenvalues.eigvalsh([torch.eye(3, dtype=torch.float64, device="cpu")])
        assert found[0] is not None
        assert found[0].tolist() == [1, 1, 1]


@pytest.mark.parametrize("device", DEVICES)
def test_the_device_backend_gives_the_spectra_of_the_cpu_backend(device: str) -> None:
    generator = torch.Generator().manual_seed(1)
    shapes = {"q": 30, "k": 6}
    inputs = [
        (torch.randn(t, 24, generator=generator),
         {name: torch.randn(t, m, generator=generator) for name, m in shapes.items()})
        for t in (5, 5, 40)
    ]  # fmt: skip
    expected = [factor_spectra(x, dy) for x, dy in inputs]
    on_device = [(x.to(device), {n: y.to(device) for n, y in dy.items()}) for x, dy in inputs]
    for found, wanted in zip(
        many_spectra(on_device, CudaBackend(torch.device(device))), expected, strict=True
    ):
        for name, spectrum in found.items():
            assert spectrum.holds
            assert spectrum.solver == wanted[name].solver
            np.testing.assert_allclose(
                spectrum.sigma, wanted[name].sigma, atol=1e-7 * wanted[name].sigma[0]
            )


def test_the_ways_are_timed_before_the_pass_that_brings_a_size(
    tiny_model: Callable[[str], torch.nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On tensors of the CPU that are treated as a device's: no trial waits in a backward pass."""
    events: list[str] = []
    trial, one_pass = eigenvalues._seconds, Engine._pass

    def noted_trial(way: eigenvalue_ways.Way, matrices: torch.Tensor) -> float:
        events.append("trial")
        return trial(way, matrices)

    def noted_pass(engine: Engine, batch: Batch, scale: object = None) -> object:
        events.append("pass")
        return one_pass(engine, batch, scale)  # type: ignore[arg-type]

    def on_device(device: torch.device, solvers: object = None) -> CudaBackend:
        return CudaBackend(device)

    monkeypatch.setattr(eigenvalues, "_seconds", noted_trial)
    monkeypatch.setattr(Engine, "_pass", noted_pass)
    for room in ("passes", "rows"):
        monkeypatch.setattr(f"gradsweep.engine.{room}.backend_for", on_device)
    model = tiny_model("llama_gqa")
    sites = find_projections(model, "qkvo")
    with Engine(model, sites, workers=1) as engine:
        engine._sizes = EigenvalueSizes(sites, SpectraOptions(), always_ready=())
        for length in (6, 7, 14):
            ids = tokens(length)[None]
            (result,) = engine.measure(make_batch(ids, mask(length, 2)[None], None))
            assert len(result.rows) == 3 * 4
    first = events.index("pass")
    assert set(events[:first]) == {"trial"}
    assert events[first + 1] == "pass", "lengths 6 and 7 are of one class"
    assert events[-1] == "pass"
    assert "trial" in events[first + 2 : -1]
