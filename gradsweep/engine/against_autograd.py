"""Whether the factors of modules that a user named give autograd's gradients of their weights.

`model.projections` may name a module whose weight acts in another way than y = xWᵀ. So the
shortest unit of a point is run once with these weights trainable, and each layer's dYᵀX is
compared with what autograd left in `weight.grad`, before anything is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from gradsweep.config import ModelConfig
from gradsweep.engine.batch import collate, shortest_row
from gradsweep.engine.capture import install_taps
from gradsweep.engine.factors import Factors
from gradsweep.engine.frozen import frozen, trainable
from gradsweep.engine.objectives import Sft
from gradsweep.engine.response import install_response_head
from gradsweep.errors import ModelError
from gradsweep.models.load import LoadedModel
from gradsweep.models.projections import ProjectionSite
from gradsweep.models.quantization import is_four_bit
from gradsweep.records import EncodedUnit

AGREEMENT = 1e-4
"""Largest distance between the two in float32, relative to autograd's norm."""
ROUNDING = 16
"""Rounding errors of ‖dY‖‖X‖ that a gradient near zero may differ by."""


def check_named_projections(
    loaded: LoadedModel,
    config: ModelConfig,
    sites: Sequence[ProjectionSite],
    units: Sequence[EncodedUnit],
) -> None:
    """Compare the gradients at `sites` with autograd's, where `model.projections` named them.

    Of the cross-entropy of the shortest row, whatever the objective: the layout is what is tried.

    Raises:
        ModelError: names the projection and layer whose gradient is another one, or says that the
            model leaves a module out, or that a weight has no gradient to be compared with.
    """
    named = config.named_projections
    if not named:
        return
    batch = collate([shortest_row(units)], loaded.model.device)
    comparison = _Comparison(sites)
    with frozen(loaded.model), ExitStack() as stack:
        weights = list({id(w): w for w in map(_weight, sites)}.values())
        stack.enter_context(trainable(weights))
        comparison.listen(stack)
        head = stack.enter_context(install_response_head(loaded.model))
        taps = stack.enter_context(install_taps(sites))
        with taps.collect(comparison.keep):
            Sft().losses(head.tokens(loaded.model, batch)).sum().backward()
    for (layer, name), distance in comparison.distances.items():
        if not distance <= 1:
            raise ModelError(
                f"model.projections.{name}={named[name]}: in layer {layer} the gradient dYᵀX is "
                f"not autograd's gradient of the weight ({distance * AGREEMENT:.1g} of its norm "
                f"apart; allowed is {AGREEMENT:g}), so this module is no plain y = xWᵀ: leave "
                f"{name} out, or name the linear module that computes it"
            )


class _Comparison:
    """Holds a layer's two gradients until all have come, and keeps how far apart they are."""

    def __init__(self, sites: Sequence[ProjectionSite]) -> None:
        self._sites = sites
        self._factors: dict[int, dict[str, tuple[Tensor, Tensor]]] = {}
        self._waiting: dict[int, list[ProjectionSite]] = {}
        for site in sites:
            self._waiting.setdefault(site.layer, []).append(site)
        self._arrived: dict[int, list[tuple[ProjectionSite, Tensor]]] = {}
        self.distances: dict[tuple[int, str], float] = {}
        """(Layer, projection) -> distance, relative to the largest that is allowed."""

    def listen(self, stack: ExitStack) -> None:
        """Take each weight's gradient when autograd has summed it up, and free it."""
        for site in self._sites:

            def take(weight: Tensor, site: ProjectionSite = site) -> None:
                if weight.grad is not None:
                    self._take(site, weight.grad)
                    weight.grad = None

            handle = _weight(site).register_post_accumulate_grad_hook(take)
            stack.callback(handle.remove)

    def keep(self, layer: list[Factors]) -> None:
        """Take the factors of a layer."""
        for factors in layer:
            x = factors.x.flatten(0, -2).double()
            for name, dy in factors.dy.items():
                of_layer = self._factors.setdefault(factors.layer, {})
                of_layer[name] = (dy.flatten(0, -2).double(), x)
        self._compare(layer[0].layer)

    def _take(self, site: ProjectionSite, grad: Tensor) -> None:
        self._arrived.setdefault(site.layer, []).append((site, grad))
        self._compare(site.layer)

    def _compare(self, layer: int) -> None:
        complete = len(self._arrived.get(layer, ())) == len(self._waiting[layer])
        if not complete or layer not in self._factors:
            return
        factors = self._factors.pop(layer)
        for site, grad in self._arrived.pop(layer):
            stored = grad.T if hasattr(site.module, "nf") else grad  # Conv1D keeps W transposed
            for name, columns in site.columns.items():
                expected = stored if columns is None else stored[columns.to(stored.device)]
                self.distances[layer, name] = _distance(*factors[name], expected)


def _distance(dy: Tensor, x: Tensor, grad: Tensor) -> float:
    """‖dYᵀX − grad‖ over what is allowed: `AGREEMENT` of the norm, and rounding."""
    resolution = torch.finfo(grad.dtype).eps
    allowed = max(AGREEMENT, resolution) * grad.double().norm()
    allowed += ROUNDING * resolution * dy.norm() * x.norm()
    return float((dy.T @ x - grad.double()).norm() / allowed)


def _weight(site: ProjectionSite) -> nn.Parameter:
    """Raises ModelError where the weight has no gradient."""
    weight: Any = getattr(site.module, "weight", None)
    trains = isinstance(weight, nn.Parameter) and weight.is_floating_point()
    if not trains or is_four_bit(site.module):
        raise ModelError(
            f"model.projections: {' '.join(site.columns)} of layer {site.layer} is a "
            f"{type(site.module).__name__} whose weight has no gradient by autograd, with which "
            "named modules are compared: load the model unquantised (model.quantization=none)"
        )
    return weight
