"""Gradients by effective weights W + s·BA that LoRA adapts: dYᵀX of training's own passes.

W is frozen, so nobody forms its gradient; the step's factors (`step_factors`) have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch
import torch.distributed as dist
from torch import nn

from gradsweep.config import Solver
from gradsweep.engine.probe import check_can_be_watched
from gradsweep.engine.spectra import Backend, Spectrum, many_spectra, scaled_spectrum
from gradsweep.errors import ModelError
from gradsweep.models.projections import ProjectionSite
from gradsweep.models.unwrapped import unwrapped
from gradsweep.training.matrices import solving_on
from gradsweep.training.ranks import Ranks
from gradsweep.training.step_factors import Inputs, StepFactors


@dataclass(frozen=True)
class AdaptedSpectra:
    """The gradients by the effective weights that read one input."""

    layer: int
    spectra: dict[str, Spectrum]
    shapes: dict[str, tuple[int, int]]
    dtype: torch.dtype


class AdaptedGradients(StepFactors):
    """The factors of the adapted projections, which every step that is collected has."""

    def __init__(self, model: nn.Module, sites: Sequence[ProjectionSite]) -> None:
        """Nothing is installed yet.

        Raises:
            ModelError: the model is compiled, or sharded by ZeRO-3: modules show no gradient.
        """
        super().__init__(sites)
        if sites:
            check_can_be_watched(model)
            check_can_be_watched(unwrapped(model))

    def taken(self) -> list[Inputs]:
        """As `StepFactors.taken`.

        Raises:
            ModelError: there was no pass, or one that bypassed an adapted module.
        """
        found = super().taken()
        if self._sites and not found:
            raise ModelError(
                "no backward pass has gone through the adapted modules since the last step: call "
                "before_step at every step, from the thread that runs the model, and use no "
                "kernels in place of PEFT's modules"
            )
        return found


def adapted_spectra(
    taken: Sequence[Inputs], solver: Solver, scale: float, ranks: Ranks
) -> list[AdaptedSpectra]:
    """Return what rows are made of; the same in every process, all of which call it.

    Args:
        taken: as `AdaptedGradients.taken` gives them.
        solver: the route.
        scale: what the gradients are multiplied by, above 0.
        ranks: where there are several, the gradient is the mean of theirs.
    """
    solved = _spectra_of_means(taken, solver, ranks) if ranks.count > 1 else _spectra(taken, solver)
    return [
        AdaptedSpectra(
            inputs.layer,
            {name: scaled_spectrum(spectra[name], scale) for name in inputs.dy},
            {name: (dy.shape[1], inputs.x.shape[1]) for name, dy in inputs.dy.items()},
            inputs.x.dtype,
        )
        for inputs, spectra in zip(taken, solved, strict=True)
    ]


def _spectra(taken: Sequence[Inputs], solver: Solver) -> list[dict[str, Spectrum]]:
    """One input a core; on a GPU one after the other."""
    found: list[dict[str, Spectrum]] = []
    for device, same in groupby(taken, key=lambda inputs: inputs.x.device):
        own = list(same)
        flops = max(float(len(inputs.x) ** 2 * inputs.x.shape[1]) for inputs in own)
        with solving_on(device) as backend:
            solve = partial(_solved, backend, solver)
            found += backend.spread(solve, own, flops)
    return found


def _solved(backend: Backend, solver: Solver, inputs: Inputs) -> dict[str, Spectrum]:
    return many_spectra([(inputs.x, inputs.dy)], backend, solver)[0]


def _spectra_of_means(
    taken: Sequence[Inputs], solver: Solver, ranks: Ranks
) -> list[dict[str, Spectrum]]:
    """Each process has other tokens, so the gradients are formed, summed, and solved by owners."""
    own: list[tuple[int, dict[str, Spectrum]]] = []
    for place, inputs in enumerate(taken):
        x = inputs.x.double()
        gradients = [dy.double().T @ x for dy in inputs.dy.values()]
        for gradient in gradients:
            dist.all_reduce(gradient)
        if ranks.owns(place):
            with solving_on(x.device) as backend:
                means = [gradient / ranks.count for gradient in gradients]
                spectra = backend.spectra_of_matrices(means, solver)
            own.append((place, dict(zip(inputs.dy, spectra, strict=True))))
    return [spectra for _, spectra in sorted(ranks.gathered(own), key=lambda item: item[0])]
