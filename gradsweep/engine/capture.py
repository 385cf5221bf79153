"""Capture the factors of every watched projection while the backward pass runs.

A tap is an identity on a projection's output: its backward sees dY, and the X it
saved. Because X is kept by `save_for_backward` (not by the hook), gradient
checkpointing keeps its saving; because the tap sits behind the module, it works
for any weight layout. A layer is handed over as soon as its last dY has arrived,
so that factors live for one layer, not for the whole model.

Taps are installed once and may be used by several threads at a time, each with
its own pass: hooks cannot be added safely while another thread runs the model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gradsweep.engine.factors import Factors
from gradsweep.models.projections import ProjectionSite

OnLayer = Callable[[list[Factors]], None]
"""What to do with a layer's factors: one `Factors` for each distinct input."""

Report = Callable[[Tensor, Tensor], None]


class _Tap(torch.autograd.Function):
    """Identity whose backward reports (X, dY)."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor, anchor: Tensor, report: Report) -> Tensor:
        ctx.save_for_backward(x)
        ctx.report = report
        return y.detach()  # not a view of y: some models (OLMo) clip the output in place

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, None, None, None]:
        (dy,) = grad_outputs
        (x,) = ctx.saved_tensors
        ctx.report(x, dy.detach())
        return dy if ctx.needs_input_grad[0] else None, None, None, None


class Taps:
    """The watched projections of one model; `install_taps` makes them."""

    def __init__(self, sites: Sequence[ProjectionSite]) -> None:
        self._sites = sites
        self._of_thread = threading.local()
        # Without the anchor, the lowest layers have no input that requires grad and no
        # graph; with it the graph starts exactly at the lowest tap, not at the embedding.
        self._anchor = torch.zeros((), requires_grad=True)

    @contextmanager
    def collect(self, on_layer: OnLayer) -> Iterator[None]:
        """Within the block, one backward pass of this thread calls `on_layer` once per layer.

        Calls come in the order of the backward pass (last layer first). The tensors of
        `Factors` are (batch, tokens, n or m), in the model's dtype and on the layer's device.

        Raises:
            RuntimeError: after a backward pass in which a projection never got a gradient.
        """
        collector = _LayerCollector(self._sites, on_layer)
        self._of_thread.collector = collector
        try:
            yield
        finally:
            del self._of_thread.collector
        collector.check_complete()

    def hook(
        self, site: ProjectionSite
    ) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        """Forward hook that puts a tap behind the site's module."""

        def put_tap(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            collector = getattr(self._of_thread, "collector", None)

            def report(x: Tensor, dy: Tensor) -> None:
                # Recomputation under checkpointing may run in a thread of autograd's own;
                # its taps only save X again, the first ones report.
                assert collector is not None, "a backward pass outside Taps.collect"
                collector.report(site, x, dy)

            return _Tap.apply(output, args[0].detach(), self._anchor, report)

        return put_tap


@contextmanager
def install_taps(sites: Sequence[ProjectionSite]) -> Iterator[Taps]:
    """Watch `sites` inside the block; afterwards the model is as it was.

    Weights should be frozen (`frozen`), so that nothing else is computed.
    """
    taps = Taps(sites)
    with ExitStack() as stack:
        for site in sites:
            handle = site.module.register_forward_hook(taps.hook(site))
            stack.callback(handle.remove)
        yield taps


class _LayerCollector:
    """Gathers the dY of a layer's sites and hands the layer over when all have come."""

    def __init__(self, sites: Sequence[ProjectionSite], on_layer: OnLayer) -> None:
        self._on_layer = on_layer
        self._missing: dict[int, set[str]] = {}
        self._arrived: dict[int, list[tuple[Tensor, dict[str, Tensor]]]] = {}
        self._any_reported = False
        for site in sites:
            self._missing.setdefault(site.layer, set()).update(site.columns)

    def report(self, site: ProjectionSite, x: Tensor, dy: Tensor) -> None:
        self._any_reported = True
        columns = {
            name: dy if index is None else dy[..., index.to(dy.device)]
            for name, index in site.columns.items()
        }
        self._arrived.setdefault(site.layer, []).append((x, columns))
        self._missing[site.layer] -= columns.keys()
        if not self._missing[site.layer]:
            self._on_layer(self._grouped_by_input(site.layer))

    def _grouped_by_input(self, layer: int) -> list[Factors]:
        groups: dict[tuple[int, torch.Size], Factors] = {}
        for x, dy in self._arrived.pop(layer):
            key = (x.data_ptr(), x.shape)
            groups.setdefault(key, Factors(layer, x, {})).dy.update(dy)
        return list(groups.values())

    def check_complete(self) -> None:
        late = {layer: names for layer, names in self._missing.items() if names}
        if late and self._any_reported:
            layer, names = next(iter(late.items()))
            raise RuntimeError(
                f"no gradient reached {sorted(names)} of layer {layer} "
                f"({len(late)} layers incomplete): the model skips these modules in its forward"
            )
