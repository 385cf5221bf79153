"""Singular values of G = dYᵀX (m×n) from X (T×n) and dY (T×m), without an SVD of G.

Three routes, all in float64 whatever the model's dtype:

- `token_gram`, for T ≤ min(m, n): with K = XXᵀ = LLᵀ, GGᵀ = dYᵀLLᵀdY, so σ² are the
  eigenvalues of the T×T matrix BBᵀ, B = LᵀdY. K and L serve every projection that reads X.
- `weight_gram`, otherwise: the smaller of GGᵀ and GᵀG, min(m, n) wide.
- `svd`, the safe path: QR of both factors and the singular values of R_Y R_Xᵀ, which never
  squares the condition number. Slower; small singular values and ranks come out right.

A Gram matrix squares the condition number: its σ have an absolute error of about
1e-8·σ₁ in float64, far below what the norms need, and hopeless in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gradsweep.config import Solver

CHECKSUM_TOLERANCE = 1e-6
"""Largest |Σσ² − ‖G‖²_F| / ‖G‖²_F of a spectrum that is taken as it is."""

LinAlgError: type[RuntimeError] = torch.linalg.LinAlgError  # type: ignore[attr-defined]

Matrix = Float64[Tensor, "rows columns"]


@dataclass(frozen=True)
class Spectrum:
    """Singular values of one gradient, with what is needed to trust them."""

    sigma: Float64[Tensor, " r"]
    """Descending, never negative; r = min(T, m, n)."""
    frobenius_norm: float
    """‖G‖_F = (Σ XXᵀ∘dYdYᵀ)^½, from the factors alone."""
    solver: str
    """The route that gave `sigma`."""

    @property
    def checksum_error(self) -> float:
        """|Σσ² − ‖G‖²_F| / ‖G‖²_F; 0 for a zero gradient, NaN when something is not finite."""
        squares = float(self.sigma.square().sum())
        reference = self.frobenius_norm**2
        if squares == reference == 0.0:
            return 0.0
        return abs(squares - reference) / reference if reference else float("inf")

    @property
    def holds(self) -> bool:
        """Whether the checksum is within `CHECKSUM_TOLERANCE` (NaN is not)."""
        return self.checksum_error <= CHECKSUM_TOLERANCE


def factor_spectra(
    x: Float[Tensor, "tokens n"],
    dy: Mapping[str, Float[Tensor, "tokens _"]],
    solver: Solver = Solver.auto,
) -> dict[str, Spectrum]:
    """The spectrum of G = dYᵀX for every dY that shares this X; length min(T, m, n) each.

    A spectrum whose checksum fails, or whose factorisation breaks down, is computed
    again on the safe path; if it still fails, `holds` says so. Non-finite factors give
    a spectrum of NaN.
    """
    shared = _SharedInput(x.to(torch.float64))
    return {name: _spectrum(shared, dy_p.to(torch.float64), solver) for name, dy_p in dy.items()}


class _SharedInput:
    """X with what several projections need of it, each computed once."""

    def __init__(self, x: Matrix) -> None:
        self.x = x

    @cached_property
    def gram(self) -> Matrix:
        """K = XXᵀ (T×T)."""
        return self.x @ self.x.T

    @cached_property
    def cholesky(self) -> Matrix:
        """L with LLᵀ = K + jitter.

        Repeated tokens make rows of X equal, and K singular; a jitter of 1e-14 of the
        mean diagonal moves σ by at most 1e-7 of ‖dY‖ and lets the factorisation pass.
        """
        k = self.gram.clone()
        k.diagonal().add_(1e-14 * k.diagonal().mean())
        return torch.linalg.cholesky(k)


class _Problem:
    """One projection's X and dY, and G for the routes that are cheaper with it."""

    def __init__(self, shared: _SharedInput, dy: Matrix) -> None:
        self.shared = shared
        self.x = shared.x
        self.dy = dy
        self.tokens, self.n = shared.x.shape
        self.m = dy.shape[1]
        self.rank = min(self.tokens, self.m, self.n)

    @cached_property
    def g(self) -> Matrix:
        """G itself (m×n): only for small weights or the safe path."""
        return self.dy.T @ self.x

    def frobenius_norm(self) -> float:
        """‖G‖_F by the trace identity ‖G‖²_F = Σ XXᵀ∘dYdYᵀ where tokens are few."""
        if self.tokens > min(self.m, self.n):
            return float(self.g.norm())
        squared = (self.shared.gram * (self.dy @ self.dy.T)).sum()
        return float(squared.clamp(min=0).sqrt())


def _spectrum(shared: _SharedInput, dy: Matrix, solver: Solver) -> Spectrum:
    problem = _Problem(shared, dy)
    frobenius = problem.frobenius_norm()
    if not math.isfinite(frobenius):
        return Spectrum(dy.new_full((problem.rank,), math.nan), frobenius, "none")
    chosen = _route(problem) if solver is Solver.auto else solver
    try:
        spectrum = Spectrum(_sigma(problem, chosen), frobenius, chosen.name)
    except LinAlgError:
        return _safe_spectrum(problem)
    return spectrum if spectrum.holds else _safe_spectrum(problem)


def _safe_spectrum(problem: _Problem) -> Spectrum:
    """The `svd` route, checked against G itself: the trace identity may cancel."""
    return Spectrum(_sigma(problem, Solver.svd), float(problem.g.norm()), Solver.svd.name)


def _route(problem: _Problem) -> Solver:
    few_tokens = problem.tokens <= min(problem.m, problem.n)
    return Solver.token_gram if few_tokens else Solver.weight_gram


def _sigma(problem: _Problem, solver: Solver) -> Tensor:
    """σ by one route, cut to min(T, m, n): a wider Gram matrix only adds zeros."""
    return ROUTES[solver](problem)[: problem.rank]


def _by_token_gram(problem: _Problem) -> Tensor:
    b = problem.shared.cholesky.T @ problem.dy
    return _root_of_eigenvalues(b @ b.T)


def _by_weight_gram(problem: _Problem) -> Tensor:
    g = problem.g if problem.m <= problem.n else problem.g.T
    return _root_of_eigenvalues(g @ g.T)


def _by_svd(problem: _Problem) -> Tensor:
    if problem.tokens >= min(problem.m, problem.n):
        return torch.linalg.svdvals(problem.g)
    # Xᵀ = Q_X R_X and dYᵀ = Q_Y R_Y, so G = Q_Y (R_Y R_Xᵀ) Q_Xᵀ.
    r_x = torch.linalg.qr(problem.x.T, mode="r").R
    r_y = torch.linalg.qr(problem.dy.T, mode="r").R
    return torch.linalg.svdvals(r_y @ r_x.T)


def _root_of_eigenvalues(gram: Matrix) -> Tensor:
    """√λ, descending; rounding may leave a zero eigenvalue slightly negative."""
    return torch.linalg.eigvalsh(gram).flip(0).clamp(min=0).sqrt()


ROUTES: dict[Solver, Callable[[_Problem], Tensor]] = {
    Solver.token_gram: _by_token_gram,
    Solver.weight_gram: _by_weight_gram,
    Solver.svd: _by_svd,
}
