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
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from torch import Tensor

from gradsweep.config import Solver
from gradsweep.engine.spectra.backend import Array, Backend, LinAlgError
from gradsweep.engine.spectra.heads import HeadGrams, grams_by_matrix, grams_by_tokens
from gradsweep.engine.spectra.solved import solved_spectrum
from gradsweep.engine.spectra.spectrum import Spectrum
from gradsweep.models.projections import Heads

EIGENVALUE_COST = 2.6
"""Time of one flop of an eigenvalue solve, in those of a matrix product (measured at n = 450)."""

CONGRUENCE_COST = 1.5
"""The same for LᵀHL."""


def many_spectra(
    inputs: Sequence[tuple[Tensor, Mapping[str, Tensor]]],
    backend: Backend,
    solver: Solver = Solver.auto,
    heads: Mapping[str, Heads] | None = None,
) -> list[dict[str, Spectrum]]:
    """Return, for each X (T×n) on one device, the spectrum of G = dYᵀX for every dY (T×m) of it.

    A spectrum whose checksum fails, or whose factorisation breaks down, is computed
    again on the safe path; if it still fails, `Spectrum.holds` says so. Non-finite factors give
    a spectrum of NaN. On CUDA, the eigenvalues of all inputs come together.

    With `heads` (projection -> its attention heads) a spectrum has those of its heads, by the route
    of the whole matrix, from what that has computed.
    """
    shared = [_SharedInput(x, backend) for x, _ in inputs]
    attempts = [
        _attempt(_Problem(of_input, values), solver)
        for of_input, (_, dy) in zip(shared, inputs, strict=True)
        for values in dy.values()
    ]
    grams = [attempt.gram for attempt in attempts if attempt.gram is not None]
    eigenvalues = iter(backend.eigvalsh(grams)) if grams else iter(())
    solved = [_finished(a, None if a.gram is None else next(eigenvalues)) for a in attempts]
    if heads:
        names = (name for _, dy in inputs for name in dy)
        whole = zip(solved, attempts, names, strict=True)
        solved = [_with_heads(one, attempt, heads.get(name)) for one, attempt, name in whole]
    spectra = iter(solved)
    return [{name: next(spectra) for name in dy} for _, dy in inputs]


def gram_size(tokens: int, m: int, n: int, solver: Solver = Solver.auto) -> int:
    """Return the width of the matrix whose eigenvalues the route needs; 0 for `svd`."""
    route = cheapest_route(tokens, m, n) if solver is Solver.auto else solver
    return {Solver.token_gram: tokens, Solver.weight_gram: min(m, n)}.get(route, 0)


def cheapest_route(tokens: int, m: int, n: int) -> Solver:
    """Return the route with fewer flops, eigenvalues weighed by how slowly they come.

    The shared K and L count in full: that is never far off, since a third of them is
    small beside the eigenvalues wherever the two routes are close.
    """
    t, small = tokens, min(m, n)
    products = t * t * (n + m) + t**3 / 3 + CONGRUENCE_COST * t**3
    by_tokens = products + EIGENVALUE_COST * 4 / 3 * t**3
    by_weight = 2 * t * m * n + small * m * n + EIGENVALUE_COST * 4 / 3 * small**3
    return Solver.token_gram if by_tokens <= by_weight else Solver.weight_gram


class _SharedInput:
    """X with what several projections need of it, each computed once."""

    def __init__(self, x: Tensor, linalg: Backend) -> None:
        self.linalg = linalg
        self.given = x
        self.x: Array = linalg.float64(x)

    @cached_property
    def gram(self) -> Array:
        """K = XXᵀ (T×T)."""
        return self.x @ self.x.T

    @cached_property
    def cholesky(self) -> Array:
        """L with LLᵀ = K."""
        return self.linalg.cholesky(self.gram)

    @cached_property
    def token_squares(self) -> Array:
        """‖x_t‖² of each token (T)."""
        return (self.x * self.x).sum(1)


class _Problem:
    """One projection's X and dY, and G for the routes that are cheaper with it."""

    def __init__(self, shared: _SharedInput, dy: Tensor) -> None:
        self.shared = shared
        self.linalg = shared.linalg
        self.x = shared.x
        self.given = dy
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

    def norms(self, solver: Solver) -> tuple[float, float]:
        """‖G‖_F and `Spectrum.token_norm`, without G where the route does without:
        ‖G‖²_F = Σ XXᵀ∘dYdYᵀ, of which the diagonal alone is the latter's square.
        """
        if solver is Solver.token_gram:
            squares = self.shared.gram * self.dy_gram
            token_squares = squares.diagonal().sum()
        else:
            squares = self.g * self.g
            token_squares = self.shared.token_squares @ (self.dy * self.dy).sum(1)
        total, of_tokens = self.linalg.scalars(squares.sum(), token_squares)
        return math.sqrt(max(total, 0.0)), math.sqrt(max(of_tokens, 0.0))


@dataclass(frozen=True)
class _Attempt:
    """A problem on its route, up to the matrix whose eigenvalues are σ²."""

    problem: _Problem
    solver: Solver
    frobenius_norm: float
    token_norm: float
    gram: Array | None
    """None when there is nothing to solve, or when only the safe path is left."""


def _attempt(problem: _Problem, solver: Solver) -> _Attempt:
    automatic = solver is Solver.auto
    chosen = cheapest_route(problem.tokens, problem.m, problem.n) if automatic else solver
    frobenius, token_norm = problem.norms(chosen)
    gram = None
    if math.isfinite(frobenius) and chosen in GRAMS:
        try:
            gram = GRAMS[chosen](problem)
        except LinAlgError:
            gram = None
    return _Attempt(problem, chosen, frobenius, token_norm, gram)


def _finished(attempt: _Attempt, eigenvalues: np.ndarray | None) -> Spectrum:
    norms = attempt.frobenius_norm, attempt.token_norm
    found = solved_spectrum(attempt.solver, attempt.problem.rank, norms, eigenvalues)
    return _safe_spectrum(attempt.problem) if found is None else found


def safe_spectrum(x: Tensor, dy: Tensor, backend: Backend) -> Spectrum:
    """Return the spectrum of G = dYᵀX by the safe path, for X (T×n) and dY (T×m)."""
    return _safe_spectrum(_Problem(_SharedInput(x, backend), dy))


def _safe_spectrum(problem: _Problem) -> Spectrum:
    """Solve by the `svd` route, checked against G itself: the trace identity may cancel.

    Where even that does not converge, the values are NaN and the row says that it does not hold.
    """
    frobenius, token_norm = problem.norms(Solver.svd)
    try:
        sigma = _singular_values(problem)[: problem.rank]
    except LinAlgError:
        sigma = np.full(problem.rank, math.nan)
    return Spectrum(sigma, frobenius, Solver.svd.name, token_norm)


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


def _with_heads(whole: Spectrum, attempt: _Attempt, heads: Heads | None) -> Spectrum:
    """The spectrum with those of its heads, on the safe path where no other is left."""
    if heads is None:
        return whole
    problem, backend = attempt.problem, attempt.problem.linalg
    rank = min(problem.tokens, *heads.shape(problem.m, problem.n))
    found: list[Spectrum | None] = [None] * heads.count
    if attempt.solver in GRAMS:
        grams, *checks = _head_grams(problem, heads, attempt.solver)
        sizes = backend.scalars(*(value for check in checks for value in check))
        starts = range(0, 3 * heads.count, heads.count)
        squares, token_squares, lost = (sizes[i : i + heads.count] for i in starts)
        solvable = [i for i in range(heads.count) if not lost[i]]
        finite = [i for i in solvable if math.isfinite(squares[i])]
        eigenvalues = dict(zip(finite, backend.eigvalsh([grams[i] for i in finite]), strict=True))
        for i in solvable:
            norms = math.sqrt(max(squares[i], 0.0)), math.sqrt(max(token_squares[i], 0.0))
            found[i] = solved_spectrum(attempt.solver, rank, norms, eigenvalues.get(i))
    given = problem.shared.given, problem.given
    safe = (
        safe_spectrum(*heads.factors(place, *given), backend) if own is None else own
        for place, own in enumerate(found)
    )
    return replace(whole, heads=tuple(safe))


def _head_grams(problem: _Problem, heads: Heads, solver: Solver) -> HeadGrams:
    if heads.of_inputs:
        cut, token_squares = problem.x, (problem.dy * problem.dy).sum(1)
    else:
        cut, token_squares = problem.dy, problem.shared.token_squares
    if solver is Solver.token_gram:
        gram = problem.dy_gram if heads.of_inputs else problem.shared.gram
        return grams_by_tokens(cut, gram, token_squares, heads.count)
    g = problem.g.T if heads.of_inputs else problem.g
    return grams_by_matrix(cut, g, token_squares, heads.count)


GRAMS: dict[Solver, Callable[[_Problem], Array]] = {
    Solver.token_gram: _token_gram,
    Solver.weight_gram: _weight_gram,
}
"""The routes by eigenvalues; `svd` is what is left."""
