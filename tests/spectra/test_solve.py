"""Spectra of matrices with known singular values, and the safe path when a route breaks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gradsweep.config import Solver
from gradsweep.engine.spectra import factor_spectra, rank_tolerance, routes, spectrum_row
from gradsweep.engine.spectra.spectrum import CHECKSUM_TOLERANCE

SIZES = [(5, 8, 12), (12, 8, 5), (8, 30, 6), (40, 8, 12), (8, 8, 8), (1, 7, 9), (9, 1, 7)]
"""(tokens, m, n): each is smallest once, and ties."""


def factors(tokens: int, m: int, n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(tokens, n, generator=generator),
        torch.randn(tokens, m, generator=generator),
    )


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("solver", list(Solver))
def test_every_solver_on_every_shape(sizes: tuple[int, int, int], solver: Solver) -> None:
    x, dy = factors(*sizes)
    expected = torch.linalg.svdvals(dy.double().T @ x.double())[: min(sizes)]
    spectrum = factor_spectra(x, {"q": dy}, solver)["q"]
    assert spectrum.holds
    np.testing.assert_allclose(spectrum.sigma, expected, rtol=1e-7, atol=1e-7 * float(expected[0]))


@pytest.mark.parametrize("solver", list(Solver))
def test_known_singular_values_over_eight_decades(solver: Solver) -> None:
    """Planted σ = 1 … 1e-8: the norms hold on every route, the smallest σ on the safe one."""
    sigma = torch.logspace(0, -8, 9, dtype=torch.float64)
    left = torch.linalg.qr(torch.randn(30, 9, dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(20, 9, dtype=torch.float64))[0]
    x, dy = sigma[:, None] * right.T, left.T
    found = factor_spectra(x, {"q": dy}, solver)["q"]
    assert float(found.sigma.sum()) == pytest.approx(float(sigma.sum()), rel=1e-6)
    assert float(found.sigma[0]) == pytest.approx(1.0, rel=1e-12)
    if solver is Solver.svd:
        np.testing.assert_allclose(found.sigma, sigma, rtol=1e-6)


@pytest.mark.parametrize("rank", [1, 3])
def test_repeated_tokens_give_their_rank(rank: int) -> None:
    """Equal rows of X (repeated tokens) make its Gram matrix singular."""
    x, dy = factors(12, 30, 20)
    x = x[torch.arange(12) % rank]
    spectrum = factor_spectra(x, {"v": dy})["v"]
    row = spectrum_row(spectrum, 0, "v", rank_tolerance(torch.float32, 30, 20))
    assert row.rank == rank
    expected = torch.linalg.svdvals(dy.double().T @ x.double())
    assert row.nuclear_norm == pytest.approx(float(expected.sum()), rel=1e-5)
    assert row.finite


def test_projections_that_share_an_input_do_not_mix() -> None:
    x, q = factors(6, 10, 12, seed=1)
    _, k = factors(6, 4, 12, seed=2)
    together = factor_spectra(x, {"q": q, "k": k})
    for name, dy in (("q", q), ("k", k)):
        alone = factor_spectra(x, {name: dy})[name].sigma
        np.testing.assert_allclose(together[name].sigma, alone, atol=1e-7 * alone[0])


@pytest.mark.parametrize("fault", ["raises", "wrong"])
def test_a_route_that_fails_is_recomputed_safely(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(problem: object) -> np.ndarray:
        if fault == "raises":
            raise torch.linalg.LinAlgError("not positive definite")
        return np.eye(5)

    x, dy = factors(5, 8, 12)
    expected = factor_spectra(x, {"q": dy}, Solver.svd)["q"].sigma
    monkeypatch.setitem(routes.GRAMS, Solver.token_gram, broken)
    spectrum = factor_spectra(x, {"q": dy})["q"]
    assert spectrum.solver == "svd"
    assert spectrum.holds
    np.testing.assert_allclose(spectrum.sigma, expected, atol=1e-12 * expected[0])


def test_a_spectrum_that_is_wrong_on_every_route_is_flagged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, dy = factors(5, 8, 12)
    for solver in routes.GRAMS:
        monkeypatch.setitem(routes.GRAMS, solver, lambda problem: np.eye(5))
    monkeypatch.setattr(routes, "_singular_values", lambda problem: np.ones(5))
    row = spectrum_row(factor_spectra(x, {"q": dy})["q"], 0, "q", 1e-6)
    assert not row.finite
    assert row.checksum_error > CHECKSUM_TOLERANCE


@pytest.mark.parametrize("error", [np.linalg.LinAlgError, torch.linalg.LinAlgError])
def test_what_converges_on_no_route_is_a_flagged_row(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object) -> np.ndarray:
        raise error("SVD did not converge")

    x, dy = factors(5, 8, 12)
    for solver in routes.GRAMS:
        monkeypatch.setitem(routes.GRAMS, solver, fails)
    monkeypatch.setattr(routes, "_singular_values", fails)
    row = spectrum_row(factor_spectra(x, {"q": dy})["q"], 0, "q", 1e-6)
    assert not row.finite
    assert row.solver == "svd"
    assert math.isnan(row.nuclear_norm)
    assert math.isnan(row.effective_rank)
    assert row.frobenius_norm == pytest.approx(float((dy.T @ x).norm()), rel=1e-6)


def test_cancelling_factors_are_not_flagged() -> None:
    """A huge common part of X that dY sums away: the trace identity loses digits, G does not."""
    x, dy = factors(10, 16, 20)
    dy -= dy.mean(dim=0)
    x = (x.double() + 1e7).float().double()
    spectrum = factor_spectra(x, {"k": dy.double()})["k"]
    assert spectrum.holds
    expected = torch.linalg.svdvals(dy.double().T @ x)
    assert float(spectrum.sigma.sum()) == pytest.approx(float(expected[:10].sum()), rel=1e-5)


def test_zero_and_non_finite_gradients() -> None:
    """Zeros that are given as such stay exact: every product of them is zero."""
    x, dy = factors(4, 6, 5)
    zero = spectrum_row(factor_spectra(x, {"q": torch.zeros_like(dy)})["q"], 0, "q", 1e-6)
    assert (zero.nuclear_norm, zero.sigma_max, zero.frobenius_norm, zero.rank) == (0, 0, 0, 0)
    assert zero.finite
    assert math.isnan(zero.sigma_ratio)
    dy[1, 2] = float("nan")
    bad = spectrum_row(factor_spectra(x, {"q": dy})["q"], 0, "q", 1e-6)
    assert not bad.finite
    assert math.isnan(bad.nuclear_norm)


def test_metrics_of_a_flat_and_of_a_rank_one_spectrum() -> None:
    """k equal singular values: effective and stable rank k, entropy log k, ratio 1/k."""
    x, dy = torch.eye(6)[:4] * 3.0, torch.eye(7)[:4]
    flat = spectrum_row(factor_spectra(x, {"q": dy})["q"], 2, "q", 1e-6)
    assert flat.nuclear_norm == pytest.approx(12)
    assert flat.effective_rank == pytest.approx(4)
    assert flat.stable_rank == pytest.approx(4)
    assert flat.spectral_entropy == pytest.approx(math.log(4))
    assert flat.sigma_ratio == pytest.approx(0.25)
    assert flat.condition_number == pytest.approx(1)
    assert flat.rank == 4
    one = spectrum_row(factor_spectra(x[:1], {"q": dy[:1]})["q"], 2, "q", 1e-6)
    assert (one.rank, one.sigma_ratio) == (1, pytest.approx(1))
    assert one.effective_rank == pytest.approx(1)


def test_scaling_the_loss_scales_the_norms_and_nothing_else() -> None:
    x, dy = factors(6, 10, 12)
    one = spectrum_row(factor_spectra(x, {"q": dy})["q"], 0, "q", 1e-6)
    tiny = spectrum_row(factor_spectra(x, {"q": dy * 2.0**-40})["q"], 0, "q", 1e-6)
    assert tiny.nuclear_norm * 2.0**40 == pytest.approx(one.nuclear_norm, rel=1e-9)
    for name in ("sigma_ratio", "effective_rank", "stable_rank", "condition_number", "rank"):
        assert getattr(tiny, name) == pytest.approx(getattr(one, name), rel=1e-9)
