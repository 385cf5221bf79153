"""Layers that wait for each other, as on a GPU: the same rows, within a bound of memory.

On tensors of the CPU that are treated as a device's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers.agreement import COSINES, NORMS, assert_same
from helpers.plain_gradients import mask, tokens

from gradsweep import Probe
from gradsweep.config import Solver, SpectraOptions
from gradsweep.engine import Batch, make_batch
from gradsweep.engine.passes import measure_batch
from gradsweep.engine.spectra import CudaBackend
from gradsweep.engine.spectra.backends import cuda
from gradsweep.models.projections import find_projections
from gradsweep.records import SampleResult

MakeModel = Callable[[str], Any]


@pytest.fixture
def as_device(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on, the CPU counts as a GPU."""

    def backend_for(device: torch.device, solvers: object = None) -> CudaBackend:
        return CudaBackend(device)

    return lambda: monkeypatch.setattr("gradsweep.engine.rows.backend_for", backend_for)


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many matrices each call for eigenvalues had."""
    calls: list[int] = []
    eigvalsh = cuda.eigvalsh

    def counted(matrices: list[torch.Tensor]) -> Any:
        calls.append(len(matrices))
        return eigvalsh(matrices)

    monkeypatch.setattr(cuda, "eigvalsh", counted)
    return calls


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


def test_all_layers_are_solved_at_once(
    tiny_model: MakeModel, as_device: Callable[[], None], solved: list[int]
) -> None:
    as_device()
    assert len(measured(tiny_model("llama_gqa"))[0].rows) == 3 * 4
    assert solved == [3 * 3 * 4]


@pytest.mark.parametrize(("bound", "value"), [("BATCH_ELEMENTS", 1), ("WAITING_BYTES", 1)])
def test_a_layer_does_not_wait_where_memory_is_short(
    bound: str,
    value: int,
    tiny_model: MakeModel,
    as_device: Callable[[], None],
    solved: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_model("llama_gqa")
    expected = measured(model)
    as_device()
    monkeypatch.setattr(cuda, bound, value)
    assert_all_same(measured(model), expected)
    assert solved == [3 * 4] * 3


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
    tiny_model: MakeModel, as_device: Callable[[], None], solved: list[int]
) -> None:
    model, given = tiny_model("llama_gqa"), batch()
    as_device()
    with Probe(model) as probe, probe.collect() as gradients:
        for _ in range(2):
            model(input_ids=given.input_ids, labels=given.input_ids).loss.backward()
    assert [len(rows) for rows in gradients.rows] == [2 * 3 * 4] * 3
    assert sum(solved) == 2 * 3 * 4 * 3
