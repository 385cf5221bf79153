"""What computes spectra: one class for each kind of device."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float
from torch import Tensor

from gradsweep.config import Solver
from gradsweep.engine.spectra.backend import Backend
from gradsweep.engine.spectra.backends.cpu import CpuBackend as CpuBackend
from gradsweep.engine.spectra.backends.cuda import CudaBackend as CudaBackend
from gradsweep.engine.spectra.routes import many_spectra
from gradsweep.engine.spectra.spectrum import Spectrum


def backend_for(device: torch.device, solvers: ThreadPoolExecutor | None = None) -> Backend:
    """Return the backend of a device; on the CPU, `solvers` are threads for large layers."""
    return CpuBackend(solvers) if device.type == "cpu" else CudaBackend(device)


def factor_spectra(
    x: Float[Tensor, "tokens n"],
    dy: Mapping[str, Float[Tensor, "tokens _"]],
    solver: Solver = Solver.auto,
) -> dict[str, Spectrum]:
    """Return the spectrum of G = dYᵀX for every dY that shares this X, as `many_spectra`."""
    return many_spectra([(x, dy)], backend_for(x.device), solver)[0]
