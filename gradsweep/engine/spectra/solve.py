"""Singular values of G = dYᵀX (m×n) from X (T×n) and dY (T×m), without an SVD of G.

Three routes, all in float64 whatever the model's dtype:

- `token_gram`: with K = XXᵀ = LLᵀ and H = dYdYᵀ, GGᵀ = dYᵀLLᵀdY has the eigenvalues of the
  T×T matrix LᵀHL, and these are σ². K and L serve every projection that reads X.
- `weight_gram`: the smaller of GGᵀ and GᵀG, min(m, n) wide.
- `svd`, the safe path: QR of both factors and the singular values of R_Y R_Xᵀ, which never
  squares the condition number. Slower; small singular values and ranks come out right.

A small cost model chooses between the first two. A Gram matrix squares the condition number:
its σ have an absolute error of about 1e-8·σ₁ in float64, far below what the norms need, and
hopeless in float32. Repeated tokens make rows of X equal, and K singular: L gets a jitter of
1e-14 of K's mean diagonal, which moves σ by at most 1e-7 of ‖dY‖.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor

from gradsweep.config import Solver
from gradsweep.engine.spectra.linalg import Array, Linalg, LinAlgError, linalg_for

CHECKSUM_TOLERANCE = 1e-6
"""Largest |Σσ² − ‖G‖²_F| / ‖G‖²_F of a spectrum that is taken as it is."""

EIGENVALUE_COST = 2.6
"""Time of one flop of an eigenvalue solve, in those of a matrix product (measured at n = 450)."""

CONGRUENCE_COST = 1.5
"""The same for LᵀHL."""


@dataclass(frozen=True)
class Spectrum:
    """Singular values of one gradient, with what is needed to trust them."""

    sigma: Float64[np.ndarray, " r"]
    """Descending, never negative; r = min(T, m, n)."""
    frobenius_norm: float
    """‖G‖_F = (Σ XXᵀ∘dYdYᵀ)^½, from the factors alone."""
    solver: str
    """The route that gave `sigma`."""

    @property
    def checksum_error(self) -> float:
        """|Σσ² − ‖G‖²_F| / ‖G‖²_F; 0 for a zero gradient, NaN when something is not finite."""
        squares = float(self.sigma @ self.sigma)
        reference = self.frobenius_norm**2
        if squares == reference == 0.0:
            return 0.0
        return abs(squares - reference) / reference if reference else math.inf

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
    return many_spectra([(x, dy)], solver)[0]


def many_spectra(
    inputs: Sequence[tuple[Tensor, Mapping[str, Tensor]]], solver: Solver = Solver.auto
) -> list[dict[str, Spectrum]]:
    """`factor_spectra` of several X on one device; on CUDA their eigenvalues come together."""
    shared = [_SharedInput(x, linalg_for(x.device)) for x, _ in inputs]
    attempts = [
        _attempt(_Problem(of_input, values), solver)
        for of_input, (_, dy) in zip(shared, inputs, strict=True)
        for values in dy.values()
    ]
    grams = [attempt.gram for attempt in attempts if attempt.gram is not None]
    eigenvalues = iter(shared[0].linalg.eigvalsh(grams)) if grams else iter(())
    spectra = iter([_finished(a, None if a.gram is None else next(eigenvalues)) for a in attempts])
    return [{name: next(spectra) for name in dy} for _, dy in inputs]


class _SharedInput:
    """X with what several projections need of it, each computed once."""

    def __init__(self, x: Tensor, linalg: Linalg) -> None:
        self.linalg = linalg
        self.x: Array = linalg.float64(x)

    @cached_property
    def gram(self) -> Array:
        """K = XXᵀ (T×T)."""
        return self.x @ self.x.T

    @cached_property
    def cholesky(self) -> Array:
        """L with LLᵀ = K."""
        return self.linalg.cholesky(self.gram)


class _Problem:
    """One projection's X and dY, and G for the routes that are cheaper with it."""

    def __init__(self, shared: _SharedInput, dy: Tensor) -> None:
        self.shared = shared
        self.linalg = shared.linalg
        self.x = shared.x
        self.dy: Array = shared.linalg.float64(dy)
        self.tokens, self.n = shared.x.shape
        self.m = dy.shape[1]
        self.rank = min(self.tokens, self.m, self.n)

    @cached_property
    def dy_gram(self) -> Array:
        """H = dYdYᵀ (T×T)."""
        return self.dy @ self.dy.T

    @cached_property
    def g(self) -> Array:
        """G itself (m×n): only for small weights or the safe path."""
        return self.dy.T @ self.x

    @property
    def cheapest(self) -> Solver:
        """The route with fewer flops, eigenvalues weighed by how slowly they come.

        The shared K and L count in full: that is never far off, since a third of them is
        small beside the eigenvalues wherever the two routes are close.
        """
        t, m, n, small = self.tokens, self.m, self.n, min(self.m, self.n)
        products = t * t * (n + m) + t**3 / 3 + CONGRUENCE_COST * t**3
        by_tokens = products + EIGENVALUE_COST * 4 / 3 * t**3
        by_weight = 2 * t * m * n + small * m * n + EIGENVALUE_COST * 4 / 3 * small**3
        return Solver.token_gram if by_tokens <= by_weight else Solver.weight_gram

    def frobenius_norm(self, solver: Solver) -> float:
        """‖G‖_F without G where the route does without: ‖G‖²_F = Σ XXᵀ∘dYdYᵀ."""
        if solver is Solver.token_gram:
            return math.sqrt(max(float((self.shared.gram * self.dy_gram).sum()), 0.0))
        return math.sqrt(float((self.g * self.g).sum()))


@dataclass(frozen=True)
class _Attempt:
    """A problem on its route, up to the matrix whose eigenvalues are σ²."""

    problem: _Problem
    solver: Solver
    frobenius_norm: float
    gram: Array | None
    """None when there is nothing to solve, or when only the safe path is left."""


def _attempt(problem: _Problem, solver: Solver) -> _Attempt:
    chosen = problem.cheapest if solver is Solver.auto else solver
    frobenius, gram = problem.frobenius_norm(chosen), None
    if math.isfinite(frobenius) and chosen in GRAMS:
        try:
            gram = GRAMS[chosen](problem)
        except LinAlgError:
            gram = None
    return _Attempt(problem, chosen, frobenius, gram)


def _finished(attempt: _Attempt, eigenvalues: np.ndarray | None) -> Spectrum:
    problem, frobenius = attempt.problem, attempt.frobenius_norm
    if not math.isfinite(frobenius):
        return Spectrum(np.full(problem.rank, math.nan), frobenius, "none")
    if eigenvalues is None:
        return _safe_spectrum(problem)
    # Descending, and no more than the rank: a wider Gram matrix only adds zeros. Rounding may
    # leave a zero eigenvalue slightly negative.
    sigma = np.sqrt(eigenvalues[::-1][: problem.rank].clip(min=0))
    spectrum = Spectrum(sigma, frobenius, attempt.solver.name)
    return spectrum if spectrum.holds else _safe_spectrum(problem)


def _safe_spectrum(problem: _Problem) -> Spectrum:
    """The `svd` route, checked against G itself: the trace identity may cancel."""
    frobenius = problem.frobenius_norm(Solver.svd)
    return Spectrum(_singular_values(problem)[: problem.rank], frobenius, Solver.svd.name)


def _token_gram(problem: _Problem) -> Array:
    return problem.linalg.congruence(problem.shared.cholesky, problem.dy_gram)


def _weight_gram(problem: _Problem) -> Array:
    g = problem.g if problem.m <= problem.n else problem.g.T
    return g @ g.T


def _singular_values(problem: _Problem) -> np.ndarray:
    if problem.tokens >= min(problem.m, problem.n):
        return problem.linalg.svdvals(problem.g)
    # Xᵀ = Q_X R_X and dYᵀ = Q_Y R_Y, so G = Q_Y (R_Y R_Xᵀ) Q_Xᵀ.
    r_x = problem.linalg.r_factor(problem.x.T)
    r_y = problem.linalg.r_factor(problem.dy.T)
    return problem.linalg.svdvals(r_y @ r_x.T)


GRAMS: dict[Solver, Callable[[_Problem], Array]] = {
    Solver.token_gram: _token_gram,
    Solver.weight_gram: _weight_gram,
}
"""The routes by eigenvalues; `svd` is what is left."""
