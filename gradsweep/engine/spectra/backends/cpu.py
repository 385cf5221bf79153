"""Spectra on the CPU, by NumPy and SciPy's LAPACK: `a @ a.T` is a symmetric product at half the
flops, and OpenBLAS finds the eigenvalues of a 450×450 matrix in 6.4 ms where MKL, torch's library,
takes 10 (one AMD core).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gradsweep.config import Solver
from gradsweep.engine.batch import Layout
from gradsweep.engine.factors import Factors, split_units
from gradsweep.engine.spectra.backend import JITTER, Array, Item, LayerSpectra, Value
from gradsweep.engine.spectra.backends import lapack
from gradsweep.engine.spectra.matrix import matrix_spectra
from gradsweep.engine.spectra.routes import many_spectra
from gradsweep.engine.spectra.spectrum import Spectrum

POOLED_WORK = 1e8
"""Flops of XXᵀ from which a layer's spectra are spread over the cores: smaller ones cost more to
hand over than that gains."""


@dataclass(frozen=True)
class CpuBackend:
    """NumPy arrays that share memory with torch where the dtype allows it."""

    solvers: ThreadPoolExecutor | None = None
    """Threads for large layers; None solves everything in the calling thread."""

    def start_layers(
        self,
        layers: Sequence[Sequence[Factors]],
        layout: Layout,
        units: Sequence[int],
        solver: Solver,
    ) -> LayerSpectra:
        """Solve them, one matrix a core: the pass would not go on any faster beside that."""
        return [self._layer_spectra(layer, layout, units, solver) for layer in layers]

    def finish_layers(self, started: Sequence[LayerSpectra]) -> list[LayerSpectra]:
        return list(started)

    def has_room(self, started: Sequence[LayerSpectra]) -> bool:
        return False  # they are there already, and their factors can be freed

    def spectra_of_matrices(self, matrices: Sequence[Tensor], solver: Solver) -> list[Spectrum]:
        """One matrix a core, as `Backend` says."""
        flops = max((float(m.numel() * min(m.shape)) for m in matrices), default=0.0)
        return list(self.spread(lambda g: matrix_spectra([g], self, solver)[0], matrices, flops))

    def awaits_more(
        self, layers: Sequence[Sequence[Factors]], layout: Layout, solver: Solver
    ) -> bool:
        return False  # a core solves one matrix at a time, whatever else there is

    def _layer_spectra(
        self, layer: Sequence[Factors], layout: Layout, units: Sequence[int], solver: Solver
    ) -> list[dict[str, Spectrum]]:
        spectra: list[dict[str, Spectrum]] = [{} for _ in units]
        tokens, n = layout.length, layer[0].x.shape[-1]
        split = [list(split_units(factors, layout)) for factors in layer]
        problems = [(place, own[unit]) for own in split for place, unit in enumerate(units)]
        solve = self.spread(
            lambda factors: many_spectra([(factors.x, factors.dy)], self, solver, factors.heads)[0],
            [factors for _, factors in problems],
            float(tokens * tokens * n),
        )
        for (place, own), of_input in zip(problems, solve, strict=True):
            spectra[place] |= of_input | {
                name: replace(of_input[name], token_norm=norm)
                for name, norm in own.token_norms.items()
            }
        return spectra

    def spread(
        self, function: Callable[[Item], Value], items: Iterable[Item], flops: float
    ) -> Iterator[Value]:
        if self.solvers is None or flops <= POOLED_WORK:
            return map(function, items)
        return self.solvers.map(function, items)

    def prepare(self, sizes: Iterable[int]) -> None:
        pass  # LAPACK needs nothing

    def float64(self, values: Tensor) -> np.ndarray:
        own = values.detach()
        if own.dtype is torch.float32:
            # Torch would start threads of its own beside each solver's.
            return own.numpy().astype(np.float64)
        return own.to(torch.float64).numpy()

    def moved(self, a: np.ndarray, device: torch.device) -> np.ndarray:
        return a  # there is one CPU

    def scalars(self, *values: Array) -> list[float]:
        return [float(value) for value in values]

    def cholesky(self, a: np.ndarray) -> np.ndarray:
        jittered = a.copy()
        np.einsum("ii->i", jittered)[:] += JITTER * a.trace() / len(a)
        return lapack.cholesky(jittered)

    def congruence(self, lower: np.ndarray, h: np.ndarray) -> np.ndarray:
        return lapack.congruence(lower, h)

    def eigvalsh(self, many: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        return [lapack.converged(a) for a in many]

    def gram_eigvalsh(self, many: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        return [lapack.converged(a, lapack.gram_eigvalsh) for a in many]

    def eigvals(self, a: np.ndarray) -> np.ndarray | None:
        return lapack.eigvals(a)

    def svdvals(self, a: np.ndarray) -> np.ndarray:
        return np.linalg.svd(a, compute_uv=False)

    def r_factor(self, a: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.qr(a, mode="r"))
