"""Gradients by effective weights W + s·BA that LoRA adapts: dYᵀX of training's own passes.

W is frozen, so nobody forms its gradient. Taps behind the adapted modules (`engine.capture`) keep
X and dY of every pass of a step; stacked along tokens they are the factors of the step's gradient,
of the loss as it was accumulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gradsweep.config import Solver
from gradsweep.engine.capture import install_taps
from gradsweep.engine.factors import Factors
from gradsweep.engine.probe import check_can_be_watched
from gradsweep.engine.spectra import Backend, Spectrum, many_spectra, scaled_spectrum
from gradsweep.errors import ModelError
from gradsweep.models.projections import ProjectionSite
from gradsweep.models.unwrapped import unwrapped
from gradsweep.training.cleared import Before, ClearedGradients
from gradsweep.training.matrices import solving_on
from gradsweep.training.ranks import Ranks
from gradsweep.training.weights import WatchedWeight


@dataclass(frozen=True)
class Inputs:
    """One input of a layer, over all passes of a step."""

    layer: int
    x: Tensor
    """T×n."""
    dy: dict[str, Tensor]
    """T×m each, of the projections that read it."""


@dataclass(frozen=True)
class AdaptedSpectra:
    """The gradients by the effective weights that read one input."""

    layer: int
    spectra: dict[str, Spectrum]
    shapes: dict[str, tuple[int, int]]
    dtype: torch.dtype


class AdaptedGradients:
    """Keeps the factors of the adapted projections while a step is collected.

    They stay in memory until the step: X once for all projections that read it, and each dY.
    Passes while the adapters are frozen, as a probe's are, are not the training's; those whose
    gradients were cleared without a step are forgotten when the next one begins.
    """

    def __init__(
        self,
        model: nn.Module,
        sites: Sequence[ProjectionSite],
        adapters: Sequence[WatchedWeight],
    ) -> None:
        """Nothing is installed yet.

        Args:
            model: as it is trained.
            sites: the adapted projections.
            adapters: their adapters' own matrices.

        Raises:
            ModelError: the model is compiled, or sharded by ZeRO-3: modules show no gradient.
        """
        if sites:
            check_can_be_watched(model)
            check_can_be_watched(unwrapped(model))
        self._sites = sites
        self._cleared = ClearedGradients(adapters)
        self._begun: set[int] = set()
        self._carried: set[int] = set()
        self._parts: dict[tuple[int, tuple[str, ...]], list[Factors]] = {}
        self._installed = ExitStack()
        self._collecting = ExitStack()

    def install(self) -> None:
        """Put the taps in place, and collect the first step."""
        if self._sites:
            self._taps = self._installed.enter_context(install_taps(self._sites))
            self._cleared.install()
            self._installed.callback(self._cleared.remove)
            self.collect()

    def remove(self) -> None:
        """Take the taps away, and what they have."""
        self.drop()
        self._installed.close()

    def collect(self) -> None:
        """Begin a step whose passes are kept."""
        self.drop()
        if self._sites:
            self._collecting.enter_context(self._taps.collect(self._keep, self._forgets))

    def drop(self) -> None:
        """Keep nothing of this step."""
        with suppress(ModelError):  # of a pass that an error has cut short
            self._collecting.close()
        self._parts = {}
        self._begun, self._carried = set(), set()

    def taken(self) -> list[Inputs]:
        """End the step and return its factors, those of all passes together, in layer order.

        Raises:
            ModelError: there was no pass, one that bypassed an adapted module, or the adapters had
                a gradient before the first one.
        """
        if not self._sites:
            return []
        self._collecting.close()
        if not self._parts:
            raise ModelError(
                "no backward pass has gone through the adapted modules since the last step: call "
                "before_step at every step, from the thread that runs the model, and use no "
                "kernels in place of PEFT's modules"
            )
        if self._carried:
            raise ModelError(
                f"the adapters of layer {min(self._carried)} had a gradient before the step's "
                "first backward pass, so that the step is of passes from before it, too, whose "
                "factors are gone: clear the gradients after every step (optimizer.zero_grad())"
            )
        parts, self._parts = self._parts, {}
        # Each is given up once it is joined: all of them twice would be the step's peak of memory.
        return [_joined(key, parts.pop(key)) for key in sorted(parts)]

    def _trains(self) -> bool:
        return any(parameter.requires_grad for parameter in self._sites[0].module.parameters())

    def _forgets(self, layer: int) -> bool:
        """Give up a layer's factors where the gradient that they made is gone."""
        if not self._trains():
            return False
        before = self._cleared.before(layer)
        if before is Before.GRADIENT and layer not in self._begun:
            self._carried.add(layer)
        self._begun.add(layer)
        if before is not Before.NOTHING:
            return False
        self._carried.discard(layer)
        self._parts = {key: parts for key, parts in self._parts.items() if key[0] != layer}
        return True

    def _keep(self, layer: list[Factors]) -> None:
        if not self._trains():
            return
        for factors in layer:
            names = tuple(factors.dy)
            self._parts.setdefault((factors.layer, names), []).append(_with_gradient(factors))


def _joined(key: tuple[int, tuple[str, ...]], passes: Sequence[Factors]) -> Inputs:
    layer, names = key
    return Inputs(
        layer,
        torch.cat([factors.x for factors in passes]),
        {name: torch.cat([factors.dy[name] for factors in passes]) for name in names},
    )


def _with_gradient(factors: Factors) -> Factors:
    """The tokens (as one list) that have a gradient: padding has none."""
    # Under autocast a module computes with its input in 16 bits, as dY is.
    dtype = next(iter(factors.dy.values())).dtype
    x = factors.x.reshape(-1, factors.x.shape[-1]).to(dtype)
    dy = {name: values.reshape(len(x), -1) for name, values in factors.dy.items()}
    kept = torch.stack([(values != 0).any(dim=1) for values in dy.values()]).any(dim=0)
    if not kept.any():
        kept[0] = True  # a zero gradient is one
    return Factors(factors.layer, x[kept], {name: values[kept] for name, values in dy.items()})


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
