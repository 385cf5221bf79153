"""From the factors of layers to rows of metrics, while the backward pass waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby

import torch

from gradsweep.config import SpectraOptions
from gradsweep.engine.batch import Layout
from gradsweep.engine.factors import Factors, split_units
from gradsweep.engine.spectra import (
    Backend,
    RowMaker,
    Spectrum,
    Started,
    backend_for,
    member_metrics,
    unit_cosines,
    with_factor_metrics,
)
from gradsweep.records import READING_ORDER, SpectrumRow


@dataclass
class Members:
    """What is known of the rows of a batch whose units' members are measured, too."""

    names: Callable[[int], Sequence[str]]
    """Number of a unit's members -> their names."""
    signs: list[float] = field(default_factory=list)
    """Of each row's weight on ∇log p; known once the losses are."""


@dataclass(frozen=True)
class _Started:
    """Layers whose spectra are on their way."""

    device: torch.device
    backend: Backend
    layers: list[list[Factors]]
    units: list[int]
    spectra: Started


class RowSink:
    """Turns the layers of one pass into rows, so that factors are freed as the pass goes on.

    On a GPU, some layers wait for each other and are started on together, and what was started is
    finished after the pass, or when there is no room for more of it.
    """

    def __init__(
        self,
        layout: Layout,
        finite: Sequence[bool],
        options: SpectraOptions,
        make_rows: RowMaker,
        solvers: ThreadPoolExecutor | None = None,
        members: Members | None = None,
    ) -> None:
        """`finite` says of each unit whether it has rows; it is read when a layer comes, and what
        `members` knows when layers are finished.
        """
        self._layout = layout
        self._finite = finite
        self._options = options
        self._make_rows = make_rows
        self._solvers = solvers
        self._members = members
        self._row_layout = layout.by_row
        self.by_unit: list[list[SpectrumRow]] = [[] for _ in layout.rows_of_unit]
        self._cosines = unit_cosines(options, len(self.by_unit))
        self._waiting: list[list[Factors]] = []
        self._started: deque[_Started] = deque()

    def add_layer(self, layer: list[Factors]) -> None:
        """Start on a layer's spectra before the backward pass goes on, or keep it for the next."""
        device = layer[0].x.device
        if self._waiting and self._waiting[0][0].x.device != device:
            self._start()
        self._waiting.append(layer)
        backend = backend_for(device, self._solvers)
        if not backend.awaits_more(self._waiting, self._layout, self._options.solver):
            self._start()
        while self._started and not self._has_room():
            self._finish([self._started.popleft()])

    def _start(self) -> None:
        layers, self._waiting = self._waiting, []
        units = [unit for unit, finite in enumerate(self._finite) if finite]
        if not units or not layers:
            return
        device = layers[0][0].x.device
        backend = backend_for(device, self._solvers)
        spectra = backend.start_layers(layers, self._layout, units, self._options.solver)
        self._started.append(_Started(device, backend, layers, units, spectra))

    def _has_room(self) -> bool:
        last = self._started[-1]
        own = [one.spectra for one in self._started if one.device == last.device]
        return last.backend.has_room(own)

    def _finish(self, started: Sequence[_Started]) -> None:
        """Make the rows of what was started, in that order, all on one device."""
        backend = started[0].backend
        found = backend.finish_layers([one.spectra for one in started])
        for one, of_layers in zip(started, found, strict=True):
            for layer, spectra in zip(one.layers, of_layers, strict=True):
                self._add_rows(backend, layer, one.units, spectra)

    def _add_rows(
        self,
        backend: Backend,
        layer: list[Factors],
        units: Sequence[int],
        spectra: Sequence[Mapping[str, Spectrum]],
    ) -> None:
        rows = [self._make_rows.layer_rows(of_unit, layer) for of_unit in spectra]
        if self._cosines or self._options.asks_for_factor_metrics:
            rows = self._completed(backend, layer, units, rows)
        if self._members:
            rows = self._with_members(backend, layer, units, rows, self._members)
        for unit, of_unit, own in zip(units, rows, spectra, strict=True):
            self.by_unit[unit] += [*of_unit, *self._make_rows.head_rows(own, layer)]

    def _completed(
        self,
        backend: Backend,
        layer: list[Factors],
        units: Sequence[int],
        rows: list[list[SpectrumRow]],
    ) -> list[list[SpectrumRow]]:
        """Each unit's rows with what its own factors tell beyond their spectra."""
        split = [list(split_units(factors, self._layout)) for factors in layer]
        own = [[factors[unit] for factors in split] for unit in units]
        flops = float(self._layout.length**2 * layer[0].x.shape[-1])

        def completed(place: int) -> list[SpectrumRow]:
            found = rows[place]
            if self._cosines:
                found = self._cosines[units[place]].complete(found, own[place])
            if self._options.asks_for_factor_metrics:
                found = with_factor_metrics(found, own[place], backend, self._options)
            return found

        return list(backend.spread(completed, range(len(units)), flops))

    def _with_members(
        self,
        backend: Backend,
        layer: list[Factors],
        units: Sequence[int],
        rows: list[list[SpectrumRow]],
        members: Members,
    ) -> list[list[SpectrumRow]]:
        """Each unit's rows with what its members are to each other, then those of the members."""
        rows_of = {unit: self._layout.unit_rows[unit] for unit in units}
        wanted = [row for unit in units for row in rows_of[unit] if len(rows_of[unit]) > 1]
        solver, layout = self._options.solver, self._row_layout
        layer = [replace(factors, heads={}) for factors in layer]  # heads are of the unit's own
        started = backend.start_layers([layer], layout, wanted, solver)
        ((spectra,),) = backend.finish_layers([started])
        made = dict(
            zip(wanted, (self._make_rows.layer_rows(s, layer) for s in spectra), strict=True)
        )
        own = _by_row([list(split_units(factors, layout)) for factors in layer])
        completed = []
        for unit, of_unit in zip(units, rows, strict=True):
            places = rows_of[unit]
            if len(places) == 1:  # it is its own member
                completed.append(of_unit)
                continue
            of_members = [made[row] for row in places]
            signs = [members.signs[row] for row in places]
            known = member_metrics(of_members, [own[row] for row in places], signs)
            completed.append([_with_metrics(row, known[row.projection]) for row in of_unit])
            for name, of_member in zip(members.names(len(places)), of_members, strict=True):
                completed[-1] += [replace(row, member=name) for row in of_member]
        return completed

    def rows(self, unit: int) -> tuple[SpectrumRow, ...]:
        """Return a unit's rows, by layer, then as in `READING_ORDER`; after the pass."""
        self._start()
        waiting, self._started = self._started, deque()
        for _, of_device in groupby(waiting, key=lambda one: one.device):
            *earlier, last = of_device
            if earlier:  # their rows are made while the device is at the last
                self._finish(earlier)
            self._finish([last])
        return tuple(sorted(self.by_unit[unit], key=reading_order))


def _by_row(layer: Sequence[Sequence[Factors]]) -> list[list[Factors]]:
    """A layer's factors, which come input by input, row by row."""
    return [list(of_row) for of_row in zip(*layer, strict=True)]


def _with_metrics(row: SpectrumRow, known: tuple[float, float]) -> SpectrumRow:
    return replace(row, member_cosine=known[0], member_effective_rank=known[1])


def reading_order(row: SpectrumRow) -> tuple[int, int]:
    """Sort key of rows: the backward pass brings the last layer first; readers want the first.

    A weight's own row comes before those of its heads, which stay in their order.
    """
    return row.layer, READING_ORDER.index(row.projection)
