"""Layers that wait for each other, as on a GPU: the same rows, within a bound of memory.

On tensors of the CPU that are treated as a device's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from helpers.agreement import COSINES, NORMS, assert_same
from helpers.patience import PATIENCE_SECONDS, wait_until
from helpers.plain_gradients import mask, tokens
from helpers.tiny_models import FAMILIES, each, projections_of

from gradsweep import Probe
from gradsweep.config import Solver, SpectraOptions
from gradsweep.engine import Batch, make_batch
from gradsweep.engine.factors import Factors
from gradsweep.engine.passes import Engine, measure_batch
from gradsweep.engine.spectra import CudaBackend
from gradsweep.engine.spectra.backends import cuda, eigenvalue_ways, eigenvalues, lapack, stacked
from gradsweep.models.projections import find_projections
from gradsweep.records import SampleResult

MakeModel = Callable[[str], Any]
LAYOUTS = (
    *("llama_gqa", "llama_mqa", "qwen3_norms", "phi3_fused", "gpt2_conv1d", "gpt_oss"),
    *("gpt_neox_interleaved", "gemma3"),
)
"""Separate, fused and interleaved projections, transposed weights; all families beside them take
longer."""


@pytest.fixture
def as_device(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on, the CPU counts as a GPU."""

    def backend_for(device: torch.device, solvers: object = None) -> CudaBackend:
        return CudaBackend(device)

    return lambda: monkeypatch.setattr("gradsweep.engine.rows.backend_for", backend_for)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many matrices were started on together, time after time."""
    counts: list[int] = []

    class Counted(eigenvalues.StartedEigenvalues):
        def __init__(self, stacks: list[torch.Tensor]) -> None:
            counts.append(sum(map(len, stacks)))
            super().__init__(stacks)

    monkeypatch.setattr(stacked, "StartedEigenvalues", Counted)
    return counts


def batch() -> Batch:
    ids = torch.stack([tokens(20, seed) for seed in range(3)])
    real = torch.arange(20) < torch.tensor([20, 12, 19])[:, None]
    return make_batch(ids, mask(20, 5).expand(3, -1) & real, real)


def measured(model: Any, **options: Any) -> list[SampleResult]:
    given = SpectraOptions(similarities=True, **options)
    return measure_batch(model, find_projections(model, "qkvo"), batch(), given)


def assert_all_same(found: list[SampleResult], expected: list[SampleResult]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other, metrics=(*NORMS, "effective_rank"))
        for row, wanted in zip(one.rows, other.rows, strict=True):
            assert row.solver == wanted.solver
            for name in COSINES:
                value = getattr(wanted, name)
                assert getattr(row, name) == pytest.approx(value, abs=1e-7, nan_ok=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("solver", list(Solver), ids=lambda solver: solver.name)
def test_rows_are_those_of_the_cpu(
    solver: Solver, dtype: torch.dtype, tiny_model: MakeModel, as_device: Callable[[], None]
) -> None:
    model = tiny_model("llama_gqa").to(dtype)
    expected = measured(model, solver=solver)
    as_device()
    assert_all_same(measured(model, solver=solver), expected)


def test_all_layers_are_started_on_at_once(
    tiny_model: MakeModel, as_device: Callable[[], None], started: list[int]
) -> None:
    as_device()
    assert len(measured(tiny_model("llama_gqa"))[0].rows) == 3 * 4
    assert started == [3 * 3 * 4]


@pytest.mark.parametrize("bound", ["BATCH_ELEMENTS", "WAITING_BYTES"])
def test_a_layer_does_not_wait_where_memory_is_short(
    bound: str,
    tiny_model: MakeModel,
    as_device: Callable[[], None],
    started: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_model("llama_gqa")
    expected = measured(model)
    as_device()
    monkeypatch.setattr(cuda if bound == "WAITING_BYTES" else eigenvalue_ways, bound, 1)
    assert_all_same(measured(model), expected)
    assert started == [3 * 4] * 3


def test_a_unit_without_a_finite_loss_has_no_rows_and_leaves_the_others(
    tiny_model: MakeModel, as_device: Callable[[], None]
) -> None:
    model = tiny_model("llama_gqa")
    with torch.no_grad():
        model.get_input_embeddings().weight[96] = torch.nan
    given = batch()
    ids = given.input_ids.clamp(max=95)
    sites = find_projections(model, "qkvo")
    expected = measure_batch(model, sites, replace(given, input_ids=ids))
    ids = ids.clone()
    ids[1, 3] = 96
    as_device()
    found = measure_batch(model, sites, replace(given, input_ids=ids))
    assert [len(sample.rows) for sample in found] == [12, 0, 12]
    assert_all_same([found[0], found[2]], [expected[0], expected[2]])


def test_a_probe_has_all_rows_when_its_block_ends(
    tiny_model: MakeModel, as_device: Callable[[], None], started: list[int]
) -> None:
    model, given = tiny_model("llama_gqa"), batch()
    as_device()
    with Probe(model) as probe, probe.collect() as gradients:
        for _ in range(2):
            model(input_ids=given.input_ids, labels=given.input_ids).loss.backward()
    assert [len(rows) for rows in gradients.rows] == [2 * 3 * 4] * 3
    assert sum(started) == 2 * 3 * 4 * 3


@pytest.fixture
def by_the_host(as_device: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU without a good solver: each layer's eigenvalues go to the host's cores as it comes."""
    as_device()
    monkeypatch.setattr(cuda, "WAITING_BYTES", 0)
    monkeypatch.setattr(eigenvalues, "fastest_way", lambda device, n: eigenvalue_ways.on_host)


@pytest.fixture
def solving(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[int], Event]]:
    """The sizes of matrices that a slow solver has begun with, and what lets it end."""
    begun: list[int] = []
    may_end = Event()
    solve = lapack.converged

    def slow(matrix: np.ndarray) -> np.ndarray | None:
        begun.append(len(matrix))
        assert may_end.wait(PATIENCE_SECONDS)
        return solve(matrix)

    monkeypatch.setattr(lapack, "converged", slow)
    yield begun, may_end
    may_end.set()


def test_the_pass_goes_on_while_the_host_solves(
    tiny_model: MakeModel, solving: tuple[list[int], Event], by_the_host: None
) -> None:
    """No solver ends before the lowest layer has come: one that were waited for never would."""
    begun, may_end = solving
    came: list[int] = []

    def on_factors(of: Batch, layer: list[Factors]) -> None:
        came.append(layer[0].layer)
        if came[-1] == 0:
            wait_until(lambda: begun, "a solver at work beside the pass")
            may_end.set()

    model = tiny_model("llama_gqa")
    sites = find_projections(model, "qkvo")
    with Engine(model, sites, workers=1, on_factors=on_factors) as engine:
        found = engine.measure(batch())
    assert came == [2, 1, 0]
    assert len(begun) == 3 * 3 * 4
    assert [len(sample.rows) for sample in found] == [12] * 3


def test_a_pass_waits_where_there_is_no_room_for_more(
    tiny_model: MakeModel, by_the_host: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsolved: list[int] = []
    ended: list[int] = []
    solve = lapack.converged

    def counted(matrix: np.ndarray) -> np.ndarray | None:
        ended.append(len(matrix))
        return solve(matrix)

    def on_factors(of: Batch, layer: list[Factors]) -> None:
        unsolved.append((2 - layer[0].layer) * 3 * 4 - len(ended))

    monkeypatch.setattr(lapack, "converged", counted)
    monkeypatch.setattr(cuda, "STARTED_BYTES", 0)
    model = tiny_model("llama_gqa")
    sites = find_projections(model, "qkvo")
    with Engine(model, sites, workers=1, on_factors=on_factors) as engine:
        found = engine.measure(batch())
    assert unsolved == [0, 0, 0]
    assert [len(sample.rows) for sample in found] == [12] * 3


def test_a_solver_that_runs_out_of_memory_says_so_to_the_pass(
    tiny_model: MakeModel, by_the_host: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(matrix: np.ndarray) -> None:
        raise MemoryError

    monkeypatch.setattr(lapack, "converged", full)
    with pytest.raises(MemoryError):
        measured(tiny_model("llama_gqa"))


@pytest.mark.parametrize("tokens_of", [(7, 5, 6), (30, 18, 29)], ids=["short", "long"])
@pytest.mark.parametrize(
    "family",
    [
        *each(LAYOUTS),
        *(pytest.param(name, marks=pytest.mark.long) for name in FAMILIES if name not in LAYOUTS),
    ],
)
def test_every_family_has_the_spectra_that_the_cpu_finds(
    family: str, tokens_of: tuple[int, ...], tiny_model: MakeModel, as_device: Callable[[], None]
) -> None:
    """σ₁ and ‖G‖_F to 1e-9, and all σ² to 1e-9 of the largest, below and above the widths."""
    model, longest = tiny_model(family), max(tokens_of)
    ids = torch.stack([tokens(longest, seed) for seed in range(len(tokens_of))])
    real = torch.arange(longest) < torch.tensor(tokens_of)[:, None]
    given = make_batch(ids, mask(longest, 3).expand(len(ids), -1) & real, real)
    sites = find_projections(model, projections_of(family))
    options = SpectraOptions(save_spectra=True)
    expected = measure_batch(model, sites, given, options)
    as_device()
    for one, other in zip(measure_batch(model, sites, given, options), expected, strict=True):
        for row, wanted in zip(one.rows, other.rows, strict=True):
            assert row.sigma_max == pytest.approx(wanted.sigma_max, rel=1e-9)
            assert row.frobenius_norm == pytest.approx(wanted.frobenius_norm, rel=1e-9)
            squares, theirs = np.square(row.singular_values), np.square(wanted.singular_values)
            np.testing.assert_allclose(squares, theirs, atol=1e-9 * (wanted.sigma_max**2 + 1e-300))
