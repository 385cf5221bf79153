"""A point's model in one precision: the engine, autograd, and autograd in more bits.

The engine measures all samples as a run would, and the factors that it solved are kept for some
layers. Then autograd follows unit by unit, so that one unit's gradients are in memory at a time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from transformers import PreTrainedModel

from gradsweep.config import Config, Dtype
from gradsweep.doctor.agreement import (
    ROW,
    Distance,
    OwnFactors,
    RowError,
    gradient_distance,
    loss_distance,
    row_errors,
)
from gradsweep.doctor.precision import in_dtype, shortage
from gradsweep.doctor.reference import Gradients, Reference
from gradsweep.engine import Batch, Factors, split_units
from gradsweep.engine.objectives import make_objective
from gradsweep.engine.other_models import others_of
from gradsweep.engine.out_of_memory import is_out_of_memory
from gradsweep.engine.run import Run
from gradsweep.engine.schedule import return_free_memory
from gradsweep.engine.spectra import make_own_metrics
from gradsweep.models.load import LoadedModel
from gradsweep.models.projections import ProjectionSite, find_projections
from gradsweep.models.quantization import dequantised
from gradsweep.records import EncodedUnit, Sample, SampleResult, SpectrumRow

Advance = Callable[[], None]
Start = Callable[[str, int], Advance]
"""Called with what begins and its number of steps; what it returns is called after each step."""


@dataclass(frozen=True)
class Agreement:
    """The engine in one precision."""

    dtype: Dtype
    rows: tuple[RowError, ...]
    """(a): its rows beside the spectra of its own factors."""
    distances: tuple[Distance, ...]
    """(b): its losses and gradients, and autograd's, beside the truth."""
    truth: str
    """The precision of the truth: "float64" where memory allows."""
    weaker: str
    """Why that is not float64; empty where it is."""
    samples: tuple[int, ...]
    """The `index` of each sample that was compared."""

    @property
    def holds(self) -> bool:
        rows_hold = all(error.holds for error in self.rows)
        return rows_hold and all(distance.holds for distance in self.distances)


class Comparison:
    """A point whose model is compared in one precision after the other."""

    def __init__(
        self, config: Config, loaded: LoadedModel, samples: Sequence[Sample], layers: set[int]
    ) -> None:
        self._config = config
        self._loaded = loaded
        self._objective = make_objective(config.objective)
        self._functions = make_own_metrics(config.gradients)
        keeping = replace(config.gradients, save_spectra=True, top_k=None)
        others = others_of(config, loaded)
        self._run = Run(loaded, config.model, keeping, self._objective, samples, others=others)
        self._units = {u.unit.index: u for batch in self._run.batches for u in batch}
        self._layers = layers
        self.skipped: dict[int, str] = {}
        """Index of a sample -> why it could not be compared."""

    def shortage(self, dtype: torch.dtype) -> str:
        """Say what autograd in `dtype` lacks here; empty where it is expected to fit."""
        longest = max((unit.n_tokens for unit in self._units.values()), default=0)
        sites = self._compared_sites(self._loaded.model)
        return shortage(self._config, self._loaded.model, dtype, longest, sites)

    def agreement(self, dtype: Dtype, start: Start) -> Agreement:
        """Compare the engine in `dtype`, which is the model's own now."""
        factors = _KeptFactors(self._layers)
        outcomes = self._outcomes(factors, start)
        model = dequantised(self._loaded.model, getattr(torch, dtype.name))
        sites = self._compared_sites(model)
        reference = Reference(model, sites, self._objective, self._run.teacher)
        truth = _Truth(reference, model, dtype, self.shortage)
        n_gradients = sum(len(site.columns) for site in sites)
        advance = start(f"{dtype.name}: gradients compared", len(outcomes) * n_gradients)
        rows, distances = self._wrong_rows(outcomes), []
        for i, result in outcomes.items():
            autograd, exact = reference.gradients(self._units[i]), truth.gradients(self._units[i])
            distances.append(loss_distance(i, result.loss, autograd, exact, dtype))
            own = factors.of_unit(i)
            for row in _of_units(result):
                place = (row.layer, row.projection)
                if place in autograd.of:
                    rows += row_errors(row, i, own[row.layer], self._functions)
                    if row.head is None:
                        distances.append(gradient_distance(row, i, own[row.layer], autograd, exact))
                        advance()
        compared = tuple(outcomes)
        return Agreement(dtype, tuple(rows), tuple(distances), truth.name, truth.weaker, compared)

    def _outcomes(self, factors: _KeptFactors, start: Start) -> dict[int, SampleResult]:
        """The engine's results that can be compared, by the sample's index."""
        advance = start("measuring", self._run.n_units)
        outcomes = {}
        for results in self._run.outcomes(on_factors=factors.keep):
            for result in results:
                advance()
                outcomes[result.index] = result
        self.skipped |= {i: r.reason for i, r in outcomes.items() if not math.isfinite(r.loss)}
        return {i: r for i, r in sorted(outcomes.items()) if math.isfinite(r.loss)}

    def _wrong_rows(self, outcomes: dict[int, SampleResult]) -> list[RowError]:
        """Rows that are missing, there twice, or of nothing that was measured."""
        sites = self._sites(self._loaded.model)
        expected = Counter((site.layer, name) for site in sites for name in site.columns)
        wrong = []
        for i, result in outcomes.items():
            whole = (row for row in _of_units(result) if row.head is None)
            found = Counter((row.layer, row.projection) for row in whole)
            places = (expected - found) + (found - expected)
            wrong += [RowError(ROW, *place, i, math.inf) for place in sorted(places)]
        return wrong

    def _compared_sites(self, model: PreTrainedModel) -> list[ProjectionSite]:
        return [site for site in self._sites(model) if site.layer in self._layers]

    def _sites(self, model: PreTrainedModel) -> list[ProjectionSite]:
        wanted, named = self._config.gradients.projections, self._config.model.named_projections
        return list(find_projections(model, wanted, named))


def _of_units(result: SampleResult) -> list[SpectrumRow]:
    """The unit's own rows; its members' are those of the same engine on one row each."""
    return [row for row in result.rows if row.member is None]


class _KeptFactors:
    """What the engine solved in some layers, cut out of its batches by the units' tokens."""

    def __init__(self, layers: set[int]) -> None:
        self._layers = layers
        self._of: dict[tuple[int, int], list[Factors]] = {}

    def keep(self, batch: Batch, layer: list[Factors]) -> None:
        """Copy a layer's factors; those of a unit's last pass stay. Any thread may call it."""
        if layer[0].layer not in self._layers:
            return
        split = [[_copy(unit) for unit in split_units(factors, batch.layout)] for factors in layer]
        for place, unit in enumerate(batch.units):
            self._of[unit.index, layer[0].layer] = [factors[place] for factors in split]

    def of_unit(self, index: int) -> dict[int, OwnFactors]:
        """Return a unit's factors by layer."""
        return {layer: OwnFactors(own) for (unit, layer), own in self._of.items() if unit == index}


def _copy(factors: Factors) -> Factors:
    """The factors may be views of tensors that the pass goes on to free."""
    dy = {name: values.detach().clone() for name, values in factors.dy.items()}
    return replace(factors, x=factors.x.detach().clone(), dy=dy)


class _Truth:
    """Autograd in more bits than the engine has, as long as this machine can do it."""

    def __init__(
        self,
        reference: Reference,
        model: PreTrainedModel,
        own: Dtype,
        shortage: Callable[[torch.dtype], str],
    ) -> None:
        self._reference = reference
        self._model = model
        self.weaker = ""
        """What float64 lacks; empty where it lacks nothing."""
        self._dtype: torch.dtype | None = None
        for dtype in (torch.float64, torch.float32)[: 1 + (own is not Dtype.float32)]:
            lacking = shortage(dtype)
            self.weaker = self.weaker or lacking
            if not lacking:
                self._dtype = dtype
                break

    @property
    def name(self) -> str:
        """The precision; empty where there is none with more bits."""
        return "" if self._dtype is None else str(self._dtype).removeprefix("torch.")

    def gradients(self, unit: EncodedUnit) -> Gradients | None:
        """Return the unit's true gradients; None where they cannot be had."""
        if self._dtype is None:
            return None
        try:
            with in_dtype(self._model, self._dtype):
                return self._reference.gradients(unit)
        except (RuntimeError, MemoryError) as error:  # an operation that has no float64 is one, too
            why = "memory ran out" if is_out_of_memory(error) else str(error).partition("\n")[0]
            self.weaker = f"a pass in {self.name} failed ({why})"
        self._dtype = None
        return_free_memory()
        return None
