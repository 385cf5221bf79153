"""The passive part: spectra of the gradients that somebody else's backward pass makes.

    with Probe(model) as probe:
        with probe.collect() as gradients:
            model(**inputs).loss.backward()
        gradients.rows  # one tuple of rows for each row of the batch

The probe installs taps behind the projections and takes them away again. It touches no flag,
no `.grad` and no random state; what it watches trains as it would without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from gradsweep.config import SpectraOptions
from gradsweep.engine.batch import Layout
from gradsweep.engine.capture import Taps, install_taps
from gradsweep.engine.factors import Factors
from gradsweep.engine.rows import RowSink
from gradsweep.engine.spectra import RowMaker
from gradsweep.errors import ModelError
from gradsweep.models.projections import find_projections, with_heads
from gradsweep.models.unwrapped import unwrapped
from gradsweep.records import PROJECTIONS, SpectrumRow


@dataclass
class CollectedRows:
    """The rows of the backward passes of one block, filled in as they come."""

    rows: list[tuple[SpectrumRow, ...]]
    """For each unit, by layer and projection; of several backward passes one after the other.
    Empty until the block ends."""


class Probe:
    """Watches a model's projections; a context manager around any number of `collect` blocks.

    Works on plain, LoRA-wrapped and checkpointed models, with trainable or frozen weights. Where
    a gradient passes by the modules, it refuses.
    """

    def __init__(
        self,
        model: nn.Module,
        projections: Sequence[str] = PROJECTIONS,
        options: SpectraOptions | None = None,
    ) -> None:
        """Find the projections; nothing is installed yet.

        Args:
            model: a causal LM of a family in `gradsweep.models.projections.ADAPTERS`.
            projections: what to watch: q k v o, gate up down or fc1 fc2.
            options: as for `gradient_spectra`.

        Raises:
            ModelError: an unknown family, a projection that the model does not have, heads that
                are not known (`with_heads`), or a model whose modules do not see the whole gradient
                (compiled, or sharded by ZeRO-3).
        """
        check_can_be_watched(model)
        self._options = options or SpectraOptions()
        self._make_rows = RowMaker(self._options)
        self._model = model
        self._sites = find_projections(unwrapped(model), projections)
        if self._options.heads:
            self._sites = with_heads(unwrapped(model), self._sites)
        self._taps: Taps | None = None

    def __enter__(self) -> Probe:
        # With LoRA on q alone, k of the lowest layer has nothing below it that trains, and would
        # have no gradient. A model that trains nothing gets no graph from its probe either.
        trains = any(parameter.requires_grad for parameter in self._model.parameters())
        self._installed = install_taps(self._sites, anchored=trains)
        self._taps = self._installed.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._taps = None
        self._installed.__exit__(None, None, None)

    @contextmanager
    def collect(
        self,
        attention_mask: Bool[Tensor, "rows length"] | Int[Tensor, "rows length"] | None = None,
        units: Sequence[int] | None = None,
    ) -> Iterator[CollectedRows]:
        """Within the block, this thread's backward passes give rows.

        Passes without grad, such as generation or a reference's log-probabilities, are ignored,
        and so is what gradient checkpointing computes again.

        Args:
            attention_mask: (rows, length), true at real tokens: leaves padding out of the
                factors. None takes every token, which changes time and not numbers.
            units: number of rows of each unit, whose rows lie together; None gives each
                row of the batch a gradient of its own, as if the loss were summed over rows.

        Raises:
            RuntimeError: outside of `with probe`.
            ModelError: a watched module got no gradient.
        """
        if self._taps is None:
            raise RuntimeError("Probe.collect works inside `with probe:` only")
        collected = CollectedRows([])
        sinks: list[RowSink] = []

        def add_layer(layer: list[Factors]) -> None:
            if not sinks:
                layout = _layout(layer[0], attention_mask, units)
                finite = [True] * len(layout.rows_of_unit)
                sinks.append(RowSink(layout, finite, self._options, self._make_rows))
            sinks[0].add_layer(layer)

        with self._taps.collect(add_layer):
            yield collected
        for sink in sinks:
            collected.rows += [sink.rows(unit) for unit in range(len(sink.by_unit))]


def _layout(factors: Factors, attention_mask: Tensor | None, units: Sequence[int] | None) -> Layout:
    if attention_mask is None:
        if factors.x.dim() != 3:
            raise RuntimeError(
                "this model's modules see the batch as one list of tokens: give "
                "Probe.collect(attention_mask=…)"
            )
        n_rows, length = factors.x.shape[:2]
        spans = ((0, length),) * n_rows
    else:
        n_rows, length = attention_mask.shape
        starts = attention_mask.int().argmax(dim=1).tolist()
        ends = (length - attention_mask.flip(1).int().argmax(dim=1)).tolist()
        spans = tuple(zip(starts, ends, strict=True))
    sizes = (1,) * n_rows if units is None else tuple(units)
    if sum(sizes) != n_rows:
        raise RuntimeError(f"units={sizes} does not divide {n_rows} rows into units")
    return Layout(length, spans, sizes)


def check_can_be_watched(model: nn.Module) -> None:
    """Raise ModelError where forward hooks of the projections would see nothing, or a part."""
    compiled = isinstance(model, torch._dynamo.eval_frame.OptimizedModule) or any(
        getattr(module, "_compiled_call_impl", None) is not None for module in model.modules()
    )
    if compiled:
        raise ModelError(
            "the model is compiled, and compiled code passes by hooks that come later: make the "
            "probe before torch.compile, or measure the model uncompiled"
        )
    if any(hasattr(parameter, "ds_id") for parameter in model.parameters()):
        raise ModelError(
            "the model's weights are sharded by DeepSpeed ZeRO-3, whose modules are gathered "
            "outside of hooks: use ZeRO-2 or FSDP2"
        )
