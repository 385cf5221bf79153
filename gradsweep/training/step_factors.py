"""Factors of an optimizer step: X and dY of the training's own passes.

Taps behind the modules (`engine.capture`) keep both of every pass of a step; stacked along tokens
they are the factors of the step's gradient, of the loss as it was accumulated: G = dYᵀX.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from gradsweep.engine.capture import install_taps
from gradsweep.engine.factors import Factors
from gradsweep.errors import ModelError
from gradsweep.models.projections import ProjectionSite


@dataclass(frozen=True)
class Inputs:
    """One input of a layer, over all passes of a step."""

    layer: int
    x: Tensor
    """T×n."""
    dy: dict[str, Tensor]
    """T×m each, of the projections that read it."""


class StepFactors:
    """Keeps the factors of projections while a step is collected.

    They stay in memory until the step: X once for all projections that read it, and each dY.
    Passes while the modules are frozen, as a probe's are, are not the training's.
    """

    def __init__(self, sites: Sequence[ProjectionSite], most_tokens: float = math.inf) -> None:
        """Nothing is installed yet.

        Args:
            sites: the modules; none keeps nothing.
            most_tokens: of a step of which factors are kept; of a longer one nothing is.
        """
        self._sites = sites
        self._most_tokens = most_tokens
        self._parts: dict[tuple[int, tuple[str, ...]], list[Factors]] = {}
        self._too_long = False
        self._installed = ExitStack()
        self._collecting = ExitStack()

    def install(self) -> None:
        """Put the taps in place, and collect the first step."""
        if self._sites:
            self._taps = self._installed.enter_context(install_taps(self._sites, anchored=False))
            self.collect()

    def remove(self) -> None:
        """Take the taps away, and what they have."""
        self.drop()
        self._installed.close()

    def collect(self) -> None:
        """Begin a step whose passes are kept."""
        self.drop()
        if self._sites:
            self._collecting.enter_context(self._taps.collect(self._keep))

    def drop(self) -> None:
        """Keep nothing of this step."""
        with suppress(ModelError):  # of a pass that an error has cut short
            self._collecting.close()
        self._parts, self._too_long = {}, False

    def taken(self) -> list[Inputs]:
        """End the step and return its factors, those of all passes together, in layer order.

        Empty where there was no pass, or where it had more tokens than are kept.

        Raises:
            ModelError: a pass bypassed one of the modules.
        """
        self._collecting.close()
        parts, self._parts = self._parts, {}
        return [
            Inputs(
                layer,
                _together([factors.x for factors in passes]),
                {name: _together([factors.dy[name] for factors in passes]) for name in names},
            )
            for (layer, names), passes in sorted(parts.items())
        ]

    def _keep(self, layer: list[Factors]) -> None:
        if self._too_long or not any(
            parameter.requires_grad for parameter in self._sites[0].module.parameters()
        ):
            return
        for factors in layer:
            passes = self._parts.setdefault((factors.layer, tuple(factors.dy)), [])
            passes.append(_with_gradient(factors))
            if sum(len(factors.x) for factors in passes) > self._most_tokens:
                self._parts, self._too_long = {}, True
                return


def _together(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _with_gradient(factors: Factors) -> Factors:
    """The tokens (as one list) that have a gradient: padding has none."""
    # Under autocast a module computes with its input in 16 bits, as dY is.
    dtype = next(iter(factors.dy.values())).dtype
    x = factors.x.reshape(-1, factors.x.shape[-1]).to(dtype)
    dy = {name: values.reshape(len(x), -1) for name, values in factors.dy.items()}
    kept = torch.stack([(values != 0).any(dim=1) for values in dy.values()]).any(dim=0)
    if kept.all():
        return Factors(factors.layer, x, dy)
    if not kept.any():
        kept[0] = True  # a zero gradient is one
    return Factors(factors.layer, x[kept], {name: values[kept] for name, values in dy.items()})
