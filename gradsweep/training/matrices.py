"""Gradients as matrices: their spectra, and their cosines with the gradients of the step before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from gradsweep.config import Solver
from gradsweep.engine.spectra import Backend, Spectrum, backend_for, scaled_spectrum


@dataclass(frozen=True)
class Matrix:
    """One projection's part of a watched weight's gradient, in the process that solves it."""

    place: int
    """Of the weight among the watched ones."""
    name: str
    gradient: Tensor
    """m×n."""


@dataclass(frozen=True)
class Solved:
    """What is known of one matrix before the step; plain values, for other processes."""

    place: int
    name: str
    spectrum: Spectrum
    dtype: torch.dtype
    cosine: float


def solved_matrices(
    matrices: Sequence[Matrix], previous: Sequence[Matrix], solver: Solver, scale: float
) -> list[Solved]:
    """Return the spectrum of every gradient, and its cosine with the same matrix of `previous`.

    Args:
        matrices: gradients, on any devices.
        previous: those of the step before; none of a matrix gives NaN for its cosine.
        solver: as for `matrix_spectra`.
        scale: what the gradients are multiplied by, above 0; cosines do not change with it.
    """
    before = {(matrix.place, matrix.name): matrix.gradient for matrix in previous}
    solved = []
    for device, own in _by_device(matrices):
        gradients = [matrix.gradient for matrix in own]
        pairs = [(matrix.gradient, before.get((matrix.place, matrix.name))) for matrix in own]
        flops = max(float(g.numel() * min(g.shape)) for g in gradients)
        with solving_on(device) as backend:
            spectra = backend.spectra_of_matrices(gradients, solver)
            cosines = backend.spread(partial(_cosine, backend), pairs, flops)
            solved += [
                Solved(m.place, m.name, scaled_spectrum(found, scale), m.gradient.dtype, cosine)
                for m, found, cosine in zip(own, spectra, cosines, strict=True)
            ]
    return solved


def _by_device(matrices: Sequence[Matrix]) -> list[tuple[torch.device, list[Matrix]]]:
    found: dict[torch.device, list[Matrix]] = {}
    for matrix in matrices:
        found.setdefault(matrix.gradient.device, []).append(matrix)
    return list(found.items())


@contextmanager
def solving_on(device: torch.device) -> Iterator[Backend]:
    """Give the device's backend; what cores solve has one BLAS thread each."""
    with threadpool_limits(1, user_api="blas"):
        if device.type != "cpu":
            yield backend_for(device)
            return
        with ThreadPoolExecutor(torch.get_num_threads()) as solvers:
            yield backend_for(device, solvers)


def _cosine(backend: Backend, pair: tuple[Tensor, Tensor | None]) -> float:
    """⟨G, G'⟩/(‖G‖‖G'‖), which no scale changes; NaN without G' and for a zero gradient."""
    gradient, previous = pair
    if previous is None:
        return math.nan
    one, other = backend.float64(gradient).ravel(), backend.float64(previous).ravel()
    product, of_one, of_other = backend.scalars(one @ other, one @ one, other @ other)
    return product / math.sqrt(of_one * of_other) if of_one * of_other else math.nan
