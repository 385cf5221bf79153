"""`python -m benchmarks.eigenvalues`: each way to find eigenvalues on a GPU, by size and number.

Float64 Gram matrices whose eigenvalues span twelve decades, as those of gradients do. Without a GPU
there is `--sizes 20`, which shows that everything runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.environment import environment
from gradsweep.engine.spectra.backends import eigenvalue_ways
from gradsweep.models.placement import resolve_device

SIZES = {100: (128, 2048), 250: (128, 512), 500: (32, 128, 512), 1000: (32, 64)}
"""n -> numbers of matrices."""

ROUNDS = 3


def planted(n: int, matrices: int, device: torch.device) -> Tensor:
    """Return Gram matrices (matrices×n×n)."""
    generator = torch.Generator().manual_seed(n)
    factors = torch.randn(matrices, n, n, dtype=torch.float64, generator=generator)
    factors *= torch.logspace(0, -6, n, dtype=torch.float64)
    on_device = factors.to(device)
    return on_device @ on_device.mT


def milliseconds(way: eigenvalue_ways.Way, grams: Tensor) -> float:
    """Return the median time until the eigenvalues are on the host, after a warm-up."""
    eigenvalue_ways.solved_by(way, grams[:2].clone())
    times = []
    for _ in range(ROUNDS):
        given = grams.clone()
        if given.is_cuda:
            torch.cuda.synchronize()
        start = time.perf_counter()
        eigenvalue_ways.solved_by(way, given)
        times.append(time.perf_counter() - start)
    return 1e3 * sorted(times)[ROUNDS // 2]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser("python -m benchmarks.eigenvalues", description=__doc__)
    parser.add_argument(
        "--sizes",
        type=lambda text: [int(part) for part in text.split(",")],
        default=list(SIZES),
        metavar="N,…",
        help=f"of the matrices (default: {', '.join(map(str, SIZES))})",
    )
    given = parser.parse_args(argv)
    device = resolve_device("auto")
    for label, value in environment().items():
        print(f"- {label}: {value}")
    print(
        "\nMilliseconds\n\n| n | matrices | way | all | each |\n|---|---|---|---|---|", flush=True
    )
    for n in given.sizes:
        for matrices in SIZES.get(n, (4, 16)):
            grams = planted(n, matrices, device)
            for way in eigenvalue_ways.ways(device, n):
                taken = milliseconds(way, grams)
                name = way.__name__.removeprefix("by_")
                print(f"| {n} | {matrices} | {name} | {taken:.2f} | {taken / matrices:.4f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
