"""Spectra of gradients that exist as matrices."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from gradsweep.config import Solver
from gradsweep.engine.spectra import CpuBackend, CudaBackend, matrix_spectra, scaled_spectrum


def gradient(m: int, n: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(m, n, generator=torch.Generator().manual_seed(seed)).to(dtype)


def sigma(matrix: torch.Tensor) -> np.ndarray:
    return torch.linalg.svdvals(matrix.double()).numpy()


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (9, 9), (1, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_singular_values_are_those_of_a_float64_svd(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    matrix = gradient(*shape, dtype=dtype)
    (spectrum,) = matrix_spectra([matrix], CpuBackend())
    np.testing.assert_allclose(spectrum.sigma, sigma(matrix), rtol=1e-9)
    assert spectrum.frobenius_norm == pytest.approx(float(matrix.double().norm()), rel=1e-12)
    assert spectrum.holds
    assert spectrum.solver == "weight_gram"


def test_a_transposed_view_and_the_safe_path_give_the_same() -> None:
    matrix = gradient(7, 30)
    (plain,) = matrix_spectra([matrix.T], CpuBackend())
    (safe,) = matrix_spectra([matrix.T], CpuBackend(), Solver.svd)
    np.testing.assert_allclose(plain.sigma, safe.sigma, rtol=1e-9)
    assert safe.solver == "svd"


def test_low_rank_zero_and_non_finite_gradients_among_others() -> None:
    low = gradient(20, 2) @ gradient(2, 30, seed=1)
    broken = gradient(4, 5)
    broken[0, 0] = math.nan
    found = matrix_spectra([low, torch.zeros(4, 3), broken, gradient(3, 8)], CpuBackend())
    assert (found[0].sigma > 1e-6 * found[0].sigma[0]).sum() == 2
    assert found[1].holds
    assert not found[1].sigma.any()
    assert not found[2].holds
    assert np.isnan(found[2].sigma).all()
    np.testing.assert_allclose(found[3].sigma, sigma(gradient(3, 8)), rtol=1e-9)


def test_many_matrices_over_threads_or_together_are_those_one_by_one() -> None:
    matrices = [gradient(m, n, seed=m) for m, n in [(600, 700), (5, 9), (601, 600)]]
    alone = [matrix_spectra([matrix], CpuBackend())[0].sigma for matrix in matrices]
    with ThreadPoolExecutor(2) as solvers:
        spread = CpuBackend(solvers).spectra_of_matrices(matrices, Solver.auto)
    for one, other in zip(alone, spread, strict=True):
        np.testing.assert_allclose(other.sigma, one, rtol=1e-9)


def test_the_cuda_backend_solves_matrices_together() -> None:
    """Its arithmetic is torch's, which is tried here on the CPU."""
    matrices = [gradient(12, 20, seed=seed) for seed in range(3)] + [gradient(20, 5)]
    found = CudaBackend(torch.device("cpu")).spectra_of_matrices(matrices, Solver.auto)
    for matrix, spectrum in zip(matrices, found, strict=True):
        np.testing.assert_allclose(spectrum.sigma, sigma(matrix), rtol=1e-9)


def test_a_scaled_gradient_has_scaled_norms() -> None:
    matrix = gradient(5, 6)
    (spectrum,) = matrix_spectra([matrix], CpuBackend())
    (tripled,) = matrix_spectra([3 * matrix], CpuBackend())
    scaled = scaled_spectrum(spectrum, 3.0)
    np.testing.assert_allclose(scaled.sigma, tripled.sigma, rtol=1e-6)
    assert scaled.frobenius_norm == pytest.approx(tripled.frobenius_norm)
    assert scaled.holds
