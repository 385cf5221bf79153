"""Spectral radius, nuclear rank and input rank, against their plain definitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.plain_gradients import mask, plain_gradients, tokens

from gradsweep import SpectraOptions, gradient_spectra
from gradsweep.engine.spectra import CpuBackend, CudaBackend
from gradsweep.engine.spectra.factor_metrics import spectral_radius

Model = torch.nn.Module
BOTH = SpectraOptions(spectral_radius=True, optimizer_geometry=True)
BACKENDS = [CpuBackend(), CudaBackend(torch.device("cpu"))]
COLUMNS = ("spectral_radius", "nuclear_rank", "input_stable_rank")


@pytest.mark.parametrize("family", ["llama_gqa", "gpt2_conv1d"])
@pytest.mark.parametrize(("length", "start"), [(9, 4), (40, 6)], ids=["few", "many"])
def test_metrics_are_those_of_the_gradient(
    family: str, length: int, start: int, tiny_model: Callable[[str], Model]
) -> None:
    model, ids = tiny_model(family), tokens(length)
    response = mask(length, start)[None]
    (ours,) = gradient_spectra(model, ids[None], response, options=BOTH).samples
    (plain,) = gradient_spectra(model, ids[None], response).samples
    reference = plain_gradients(model.double(), ids, start)
    for row, without in zip(ours.rows, plain.rows, strict=True):
        g = reference[row.layer, row.projection]
        m, n = g.shape
        radius = float(torch.linalg.eigvals(g).abs().max()) if m == n else math.nan
        # Eigenvalues of a matrix that is not symmetric move more than its norms.
        assert row.spectral_radius == pytest.approx(radius, rel=1e-3, nan_ok=True)
        assert math.isnan(radius) == (row.projection in "kv" and family == "llama_gqa")
        sigma = torch.linalg.svdvals(g)
        ratio = float(sigma.sum() ** 2 / (sigma @ sigma))
        assert row.nuclear_rank == pytest.approx(ratio, rel=1e-4)
        assert 1 <= row.input_stable_rank <= min(length, n)
        assert all(math.isnan(getattr(without, name)) for name in COLUMNS)
        cleared = replace(row, **dict.fromkeys(COLUMNS, math.nan))
        assert repr(cleared) == repr(without), "to the last bit"
    of_layer = {row.projection: row.input_stable_rank for row in ours.rows if row.layer == 1}
    assert of_layer["q"] == of_layer["k"] == of_layer["v"] != of_layer["o"]


def test_the_input_is_what_the_module_read(tiny_model: Callable[[str], Model]) -> None:
    model, ids = tiny_model("llama_gqa"), tokens(12)
    options = SpectraOptions(optimizer_geometry=True)
    (ours,) = gradient_spectra(model, ids[None], mask(12, 5)[None], options=options).samples
    seen: list[torch.Tensor] = []
    module = model.model.layers[1].self_attn.o_proj  # type: ignore[union-attr, index]
    module.register_forward_pre_hook(lambda module, args: seen.append(args[0][0]))
    with torch.no_grad():
        model(input_ids=ids[None])
    sigma = torch.linalg.svdvals(seen[0].double())
    (row,) = (row for row in ours.rows if (row.layer, row.projection) == (1, "o"))
    assert row.input_stable_rank == pytest.approx(float(sigma @ sigma / sigma[0] ** 2), rel=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n_tokens", [3, 20, 50])
def test_the_small_problem_has_the_eigenvalues_of_the_large_one(
    n_tokens: int, backend: CpuBackend | CudaBackend
) -> None:
    generator = torch.Generator().manual_seed(n_tokens)
    x, dy = (torch.randn(n_tokens, 20, dtype=torch.float64, generator=generator) for _ in range(2))
    expected = float(torch.linalg.eigvals(dy.T @ x).abs().max())
    found = spectral_radius(backend.float64(x), backend.float64(dy), backend)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_has_no_radius_has_none(backend: CpuBackend | CudaBackend) -> None:
    x, dy = torch.ones(3, 4, dtype=torch.float64), torch.ones(3, 5, dtype=torch.float64)
    assert math.isnan(spectral_radius(backend.float64(x), backend.float64(dy), backend))
    zero = backend.float64(torch.zeros(3, 4, dtype=torch.float64))
    assert spectral_radius(backend.float64(x), zero, backend) == 0
    x[0, 0] = np.inf
    assert math.isnan(spectral_radius(backend.float64(x), zero, backend))


def test_an_orthogonal_gradient_turns_and_a_triangular_one_does_not() -> None:
    """|λ| of a rotation is σ₁; that of a nilpotent matrix is zero, however large it is."""
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    one = np.eye(2)
    assert spectral_radius(turn, 2 * one, CpuBackend()) == pytest.approx(2)
    assert spectral_radius(np.array([[0.0, 1.0], [0.0, 0.0]]), one, CpuBackend()) < 1e-7
