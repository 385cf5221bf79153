"""bergson's gradient collector (2.5.1) with `svdvals` in its hook.

Importing this file takes bergson; `benchmarks.bergson_columns` says how to install it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import torch
from bergson.collector.gradient_collectors import StreamingGradientCollector
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from benchmarks.timing import seconds_of
from gradsweep.engine import trainable
from gradsweep.models.projections import find_projections
from gradsweep.records import PROJECTIONS


@dataclass(kw_only=True)
class SpectraCollector(StreamingGradientCollector):
    """Form the gradient of every sample and module as all of bergson's collectors do, and keep
    the singular values of some in the place of gradients."""

    solved: Collection[str]
    """Modules whose singular values are found; other gradients are formed and dropped."""
    singular_values: dict[str, Tensor] = field(default_factory=dict)
    """Module -> (samples, min(outputs, inputs)) in float32, descending."""
    svd_seconds: float = 0.0
    """Time in `svdvals`; the device is waited for before and after."""

    def backward_hook(self, module: nn.Module, g: Tensor) -> None:
        """Take the output's gradient, (samples, tokens, outputs)."""
        name = cast(str, module._name)
        flat = self._compute_gradient(module, g)
        if name not in self.solved:
            return
        formed = flat.view(len(flat), *self.target_info[name][1]).float()

        def solve() -> None:
            self.singular_values[name] = torch.linalg.svdvals(formed)

        self.svd_seconds += seconds_of(solve)


@contextmanager
def collecting(
    model: LlamaForCausalLM, solved_layers: Collection[int]
) -> Iterator[SpectraCollector]:
    """Hook a collector onto q, k, v and o of every layer; the model is frozen.

    Its backward needs no weight that trains, only that a gradient reaches the modules' outputs,
    as in a bare pass. Making a collector does: it takes the dtype of gradients from weights that
    train. bergson trains the embedding for that, and pays its gradient; here it trains while the
    collector is made and no longer.
    """
    names = {module: name for name, module in model.named_modules()}
    layers = {names[site.module]: site.layer for site in find_projections(model, PROJECTIONS)}
    with trainable([model.get_input_embeddings().get_parameter("weight")]):
        collector = SpectraCollector(
            model=model,
            target_modules=set(layers),
            dtype=model.dtype,
            solved=[name for name, layer in layers.items() if layer in solved_layers],
        )
    assert collector.target_info.keys() == layers.keys()
    with collector:
        yield collector
