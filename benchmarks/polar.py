"""`python -m benchmarks.polar`: would a nuclear norm by matrix products alone beat eigenvalues?

‖S‖_* = ⟨S, polar(S)⟩, and the polar factor comes by X ← X(aI + bXᵀX + c(XᵀX)²), each time with the
coefficients that are best for the singular values that are left to bring to 1 (Polar Express,
arXiv 2505.16932). In float64, with S = L_Hᵀ L of K = LLᵀ and H = L_H L_Hᵀ (T×T): its singular
values are those of the gradient, and nothing is squared. This is the trial that decided against
it (docs/benchmarks.md); on a GPU it times batches there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.environment import environment
from gradsweep.engine.spectra.backends import eigenvalue_ways, eigenvalues
from gradsweep.models.placement import resolve_device

SMALLEST = 1e-8
"""Singular values above this share of the largest are brought to 1: some hundred below it add up to
the 1e-6 that a nuclear norm may be off."""

CONVERGED = 1e-7
"""How far the last polynomial may miss 1."""

Coefficients = tuple[float, float, float]

PRODUCTS_PER_STEP = 3
OTHER_PRODUCTS = 2
"""To make S, and for the inner product."""


def steps(smallest: float = SMALLEST, converged: float = CONVERGED) -> Iterator[Coefficients]:
    """Yield the coefficients of each step until all of [smallest, 1] is within `converged` of 1."""
    low, high = smallest, 1.0
    error = 1.0
    while error > converged:
        a, b, c, error = _best(low, high)
        yield a, b, c
        low, high = 1 - error, 1 + error


def _best(low: float, high: float) -> tuple[float, float, float, float]:
    """The odd polynomial of degree 5 that is nearest to 1 on [low, high], and by how much it
    misses, by Remez's exchange: the error alternates over four points.
    """
    if 1 - low / high < 1e-3:  # the four points coincide; Newton and Schulz's own is as good there
        return 15 / 8, -10 / 8, 3 / 8, max(1 - low, high - 1) ** 3 * 3
    inner = np.array([0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high])
    for _ in range(50):
        points = np.array([low, *inner, high])
        signs = np.array([1.0, -1.0, 1.0, -1.0])
        system = np.stack([points, points**3, points**5, signs], axis=1)
        a, b, c, error = np.linalg.solve(system, np.ones(4))
        squares = np.roots([5 * c, 3 * b, a]).real
        inner = np.sqrt(np.clip(np.sort(squares), low**2, high**2))
    return float(a), float(b), float(c), abs(float(error))


def nuclear_norms(s: Tensor) -> Tensor:
    """Return ‖S‖_* of every S (batch×n×n, float64) by products."""
    scale = torch.linalg.matrix_norm(s)[:, None, None]  # above σ₁, so that all begin within [0, 1]
    x = s / scale
    for a, b, c in steps():
        gram = x.mT @ x
        x = a * x + x @ (b * gram + c * gram @ gram)
    return (s * x).sum((1, 2))


@dataclass(frozen=True)
class Trial:
    """Milliseconds of one batch, and how far the nuclear norm is off."""

    n: int
    matrices: int
    product: float
    eigenvalues: float
    polar: float
    error: float


def planted(n: int, matrices: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return S with singular values over eight decades, half of them in the upper two, and their
    sums."""
    generator = torch.Generator().manual_seed(n)
    shape = (matrices, n, n)
    left, right = (
        torch.linalg.qr(torch.randn(shape, dtype=torch.float64, generator=generator)).Q
        for _ in range(2)
    )
    sigma = 10 ** -(8 * torch.linspace(0, 1, n, dtype=torch.float64) ** 2)
    return ((left * sigma) @ right).to(device), sigma.sum().expand(matrices)


def tried(n: int, matrices: int, device: torch.device) -> Trial:
    """Time a product, the eigenvalues of the Gram matrices and all of the other way."""
    s, sums = planted(n, matrices, device)
    gram = s.mT @ s
    way = eigenvalues.fastest_way(device, eigenvalues.size_class(n))
    found = nuclear_norms(s).cpu()
    return Trial(
        n,
        matrices,
        _ms(lambda: s @ s),
        _ms(lambda: eigenvalue_ways.solved_by(way, gram.clone())),
        _ms(lambda: nuclear_norms(s)),
        float(((found - sums) / sums).abs().max()),
    )


def _ms(run: Callable[[], object]) -> float:
    """The faster of two times."""
    times = []
    for _ in range(2):
        _wait()
        start = time.perf_counter()
        run()
        _wait()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


H100 = (
    # n, matrices, ms of a product, of a Cholesky factorisation, of cuSOLVER's eigenvalues
    *((100, 16, 0.02, 0.13, 0.76), (100, 64, 0.08, 0.5, 0.98)),
    *((250, 4, 0.045, 0.34, 10.0), (250, 16, 0.045, 0.34, 9.06), (250, 64, 0.18, 1.4, 9.68)),
    *((500, 4, 0.035, 0.63, 27.07), (500, 16, 0.10, 0.77, 28.51), (500, 64, 0.40, 3.1, 34.92)),
    *((500, 128, 0.80, 6.2, 56.40), (1000, 4, 0.165, 1.65, 87.47)),
    *((1000, 16, 0.655, 2.39, 74.20), (1000, 64, 2.62, 9.6, 161.52)),
)
"""From benchmarks/logs/h100.txt. Products and Cholesky of more than 16 matrices were not timed:
four times as many take four times as long here."""


def estimated() -> Iterator[tuple[int, int, float, float]]:
    """Yield n, matrices, cuSOLVER's milliseconds and what the products would take on an H100."""
    products = PRODUCTS_PER_STEP * len(list(steps())) + OTHER_PRODUCTS
    for n, matrices, product, cholesky, cusolver in H100:
        yield n, matrices, cusolver, products * product + cholesky


def main(argv: Sequence[str] | None = None) -> int:
    """Print what was timed here and what follows for an H100."""
    parser = argparse.ArgumentParser("python -m benchmarks.polar", description=__doc__)
    parser.add_argument("--sizes", default="64,128,256,512,1024,2048,4096")
    parser.add_argument("--matrices", type=int, default=1, help="of each size (default: 1)")
    given = parser.parse_args(argv)
    device = resolve_device("auto")
    for label, value in environment().items():
        print(f"- {label}: {value}")
    print(f"- steps: {len(list(steps()))}, of {PRODUCTS_PER_STEP} products each\n")
    print("| n | a product | eigenvalues | polar factor | polar / eigenvalues | off by |")
    print("|---|---|---|---|---|---|")
    for n in map(int, given.sizes.split(",")):
        trial = tried(n, given.matrices, device)
        times = " | ".join(f"{ms:.3g} ms" for ms in (trial.product, trial.eigenvalues, trial.polar))
        ratio = trial.polar / trial.eigenvalues
        print(f"| {n} | {times} | {ratio:.1f} | {trial.error:.0e} |", flush=True)
    print("\nAn H100, estimated from benchmarks/logs/h100.txt\n")
    print("| n | matrices | cuSOLVER | polar factor | polar / cuSOLVER |\n|---|---|---|---|---|")
    for n, matrices, cusolver, polar in estimated():
        print(f"| {n} | {matrices} | {cusolver:.1f} ms | {polar:.1f} ms | {polar / cusolver:.2f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
