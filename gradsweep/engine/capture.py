"""Capture the factors of every watched projection while a backward pass runs.

A tap is an identity on a projection's output: its backward sees dY, and the X it
saved. Because X is kept by `save_for_backward` (not by the hook), gradient
checkpointing keeps its saving; because the tap sits behind the module, it works
for any weight layout, and whether or not the weight itself gets a gradient. A layer is handed
over as soon as its last dY has arrived, so that factors live for one layer, not for the model.

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
from gradsweep.errors import ModelError
from gradsweep.models.projections import Columns, ProjectionSite

OnLayer = Callable[[list[Factors]], None]
"""What to do with a layer's factors: one `Factors` for each distinct input."""

OnBegin = Callable[[int], bool]
"""Asked when a backward pass brings a layer its first dY, before any weight of the layer has a
gradient of that pass: whether what earlier passes have left of the layer is to be forgotten."""

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

    def __init__(self, sites: Sequence[ProjectionSite], anchored: bool = True) -> None:
        self._sites = sites
        self._columns = _Columns()
        self._of_thread = threading.local()
        self._lock = threading.Lock()
        self._active: list[_LayerCollector] = []
        # Without the anchor, the lowest layers of a frozen model have no input that requires grad
        # and no graph; with it the graph starts exactly at the lowest tap, not at the embedding.
        self._anchor = torch.zeros((), requires_grad=anchored)

    @contextmanager
    def collect(self, on_layer: OnLayer, on_begin: OnBegin | None = None) -> Iterator[None]:
        """Within the block, backward passes of this thread call `on_layer` once per layer.

        Calls come in the order of the backward pass (last layer first). The tensors of
        `Factors` are (rows, tokens, n or m), in the model's dtype and on the layer's device.
        `on_begin` is asked for each layer and pass.

        Raises:
            ModelError: after a backward pass in which a projection never got a gradient.
        """
        collector = _LayerCollector(self._sites, on_layer, self._columns, on_begin)
        self._of_thread.collector = collector
        with self._lock:
            self._active.append(collector)
        try:
            yield
        finally:
            with self._lock:
                self._active.remove(collector)
            del self._of_thread.collector
        collector.check_complete()

    def hook(
        self, site: ProjectionSite
    ) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
        """Forward hook that puts a tap behind the site's module."""

        def put_tap(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            # Passes without grad (generation, reference log-probabilities) and passes outside of
            # any block are left alone, to the last operation.
            if not self._active or not torch.is_grad_enabled():
                return None
            collector = getattr(self._of_thread, "collector", None)
            again = collector is None and _in_backward()
            if again:
                collector = self._only_one()

            def report(x: Tensor, dy: Tensor) -> None:
                if collector is not None:
                    collector.report(site, x, dy)
                elif again:
                    raise ModelError(
                        "reentrant checkpointing of passes in several threads at a time: nobody "
                        "knows whose gradient this is; give use_reentrant=False"
                    )

            return _Tap.apply(output, args[0].detach(), self._anchor, report)

        return put_tap

    def _only_one(self) -> _LayerCollector | None:
        """The collector of whoever started a backward pass that computes a part of the model again.

        On a GPU it does so in a thread of autograd's own, which has none. After reentrant
        checkpointing these taps are the first with a graph; otherwise they only save X again.
        """
        with self._lock:
            return self._active[0] if len(self._active) == 1 else None


def _in_backward() -> bool:
    """Whether this thread runs a part of a backward pass, as torch's own checkpointing asks."""
    return torch._C._current_graph_task_id() != -1


@contextmanager
def install_taps(sites: Sequence[ProjectionSite], anchored: bool = True) -> Iterator[Taps]:
    """Watch `sites` inside the block; afterwards the model is as it was.

    Args:
        sites: the modules to watch.
        anchored: give the outputs of the lowest taps a graph where nothing below requires grad:
            needed for frozen weights; without it a pass that needs no graph gets none.
    """
    taps = Taps(sites, anchored)
    with ExitStack() as stack:
        for site in sites:
            handle = site.module.register_forward_hook(taps.hook(site))
            stack.callback(handle.remove)
        yield taps


class _Columns:
    """Which columns a fused projection has, on the devices where that is asked: to move an index
    there in each backward pass would make the host wait."""

    def __init__(self) -> None:
        self._there: dict[tuple[int, torch.device], Tensor] = {}

    def of(self, values: Tensor, index: Columns) -> Tensor:
        """Return these columns of `values`; the same index lives as long as this."""
        if index is None:
            return values
        key = id(index), values.device
        if key not in self._there:
            self._there[key] = index.to(values.device, non_blocking=True)
        return values[..., self._there[key]]


class _LayerCollector:
    """Gathers the dY of a layer's sites and hands the layer over when all have come.

    Then it starts anew for that layer: several backward passes may follow each other.
    """

    def __init__(
        self,
        sites: Sequence[ProjectionSite],
        on_layer: OnLayer,
        columns: _Columns,
        on_begin: OnBegin | None,
    ) -> None:
        self._on_layer = on_layer
        self._on_begin = on_begin
        self._pass_of: dict[int, int] = {}
        self._columns = columns
        self._projections: dict[int, set[str]] = {}
        self._arrived: dict[int, list[tuple[ProjectionSite, Tensor, dict[str, Tensor]]]] = {}
        self._handed_over: set[int] = set()
        self._any_reported = False
        for site in sites:
            self._projections.setdefault(site.layer, set()).update(site.columns)
        self._missing = {layer: set(names) for layer, names in self._projections.items()}

    def report(self, site: ProjectionSite, x: Tensor, dy: Tensor) -> None:
        self._any_reported = True
        columns = {name: self._columns.of(dy, index) for name, index in site.columns.items()}
        layer = site.layer
        self._begin(layer)
        self._arrived.setdefault(layer, []).append((site, x, columns))
        self._missing[layer] -= columns.keys()
        if not self._missing[layer]:
            self._missing[layer] = set(self._projections[layer])
            self._handed_over.add(layer)
            self._on_layer(self._grouped_by_input(layer))

    def _begin(self, layer: int) -> None:
        """Ask, at a layer's first dY of a pass, about what a pass cut short may have left there."""
        own = torch._C._current_graph_task_id()
        if self._on_begin is None or self._pass_of.get(layer) == own:
            return
        self._pass_of[layer] = own
        if self._on_begin(layer):
            self._arrived.pop(layer, None)
            self._missing[layer] = set(self._projections[layer])

    def _grouped_by_input(self, layer: int) -> list[Factors]:
        groups: dict[tuple[int, torch.Size], Factors] = {}
        for site, x, dy in self._arrived.pop(layer):
            group = groups.setdefault((x.data_ptr(), x.shape), Factors(layer, x, {}))
            group.dy.update(dy)
            group.heads.update(site.heads)
        return list(groups.values())

    def check_complete(self) -> None:
        incomplete = {
            layer: self._missing[layer]
            for layer in self._projections
            if layer not in self._handed_over or layer in self._arrived
        }
        if incomplete and self._any_reported:
            layer, names = next(iter(incomplete.items()))
            raise ModelError(
                f"no gradient reached {sorted(names)} of layer {layer} "
                f"({len(incomplete)} layers incomplete): the model skips these modules in its "
                "forward"
            )
