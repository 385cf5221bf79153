"""Spectra of a step's gradients from their factors, where its tokens are few.

A gradient exists anyway once training has formed it, and its smaller Gram matrix is min(m, n) wide.
That of a step of fewer tokens is narrower by its factors: at 4 × 100 tokens SmolLM2's eigenvalue
problems of 576 become those of 400.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from torch import nn

from gradsweep.config import Solver
from gradsweep.engine.probe import check_can_be_watched
from gradsweep.engine.spectra import Backend, Spectrum, many_spectra, scaled_spectrum
from gradsweep.engine.spectra.routes import is_cheaper_by_tokens
from gradsweep.errors import ModelError
from gradsweep.models.projections import ProjectionSite, projection_shapes
from gradsweep.models.unwrapped import unwrapped
from gradsweep.training.matrices import Matrix, solving_on
from gradsweep.training.ranks import Ranks, is_sharded, squared_norm
from gradsweep.training.step_factors import Inputs, StepFactors

AGREEMENT = 1e-5
"""Of ‖G‖_F: how far that of the factors may lie from that of the gradient which the optimizer gets.
Farther means that something beside the passes, a hook of the training's own or another process, had
a part in the gradient, and that is the one to measure."""


class FewTokens(StepFactors):
    """The factors of watched weights, while they are few enough to be cheaper.

    Of float32 weights on the CPU in a single process: elsewhere a gradient is rounded otherwise
    than its factors, is a mean of several processes', or is solved with all others on a GPU.
    """

    def __init__(
        self, model: nn.Module, sites: Sequence[ProjectionSite], solver: Solver, ranks: Ranks
    ) -> None:
        """Nothing is installed yet, and nothing ever is where factors are not used."""
        own = solver is Solver.auto and ranks.count == 1 and _shows_factors(model)
        sites = [site for site in sites if own and _is_plain(site.module)]
        shapes = {shape for site in sites for shape in projection_shapes(site).values()}
        super().__init__(sites, max((most_tokens(*shape) for shape in shapes), default=0))

    def spectra(
        self, matrices: Sequence[Matrix], layers: Sequence[int], scale: float, restored: float
    ) -> dict[tuple[int, str], Spectrum]:
        """End the step and return the spectra that are cheaper so, by place and name of a matrix.

        Args:
            matrices: gradients as the optimizer gets them.
            layers: of each watched weight, by place.
            scale: what brings the factors to the loss that was asked for.
            restored: what brings the matrices there.
        """
        try:
            taken = self.taken()
        except ModelError:  # a module was bypassed: what its factors are, nobody knows
            return {}
        cheaper = [inputs for inputs in map(_cheaper, taken) if inputs.dy]
        found = {
            (inputs.layer, name): scaled_spectrum(spectrum, scale)
            for inputs, spectra in zip(cheaper, _solved(cheaper), strict=True)
            for name, spectrum in spectra.items()
        }
        named = {(m.place, m.name): (found.get((layers[m.place], m.name)), m) for m in matrices}
        return {
            key: spectrum
            for key, (spectrum, matrix) in named.items()
            if spectrum is not None and _agree(matrix, spectrum, restored)
        }


@cache
def most_tokens(m: int, n: int) -> int:
    """Return of how many tokens the factors are cheaper than the gradient (m×n) itself."""
    longest = range(1, 2 * min(m, n))
    return bisect_left(longest, True, key=lambda t: not is_cheaper_by_tokens(t, m, n))


def _cheaper(inputs: Inputs) -> Inputs:
    tokens, n = inputs.x.shape
    dy = {
        name: values
        for name, values in inputs.dy.items()
        if is_cheaper_by_tokens(tokens, values.shape[1], n)
    }
    return replace(inputs, dy=dy)


def _solved(cheaper: Sequence[Inputs]) -> list[dict[str, Spectrum]]:
    """One input a core."""
    if not cheaper:
        return []
    flops = max(float(len(inputs.x) ** 2 * inputs.x.shape[1]) for inputs in cheaper)
    with solving_on(torch.device("cpu")) as backend:
        return list(backend.spread(partial(_of_inputs, backend), cheaper, flops))


def _of_inputs(backend: Backend, inputs: Inputs) -> dict[str, Spectrum]:
    spectra = many_spectra([(inputs.x, inputs.dy)], backend, Solver.token_gram)[0]
    # What the tokens were is not known of other gradients, and rows of both are read together.
    return {name: replace(one, token_norm=one.frobenius_norm) for name, one in spectra.items()}


def _agree(matrix: Matrix, spectrum: Spectrum, restored: float) -> bool:
    norm = math.sqrt(float(squared_norm(matrix.gradient))) * restored
    return abs(spectrum.frobenius_norm - norm) <= AGREEMENT * norm


def _is_plain(module: Any) -> bool:
    weight = module.weight
    plain = weight.device.type == "cpu" and weight.dtype is torch.float32
    return plain and not is_sharded(weight)


def _shows_factors(model: nn.Module) -> bool:
    """Whether forward hooks of the projections see every pass."""
    try:
        check_can_be_watched(model)
        check_can_be_watched(unwrapped(model))
    except ModelError:
        return False
    return True
