"""(model, samples, options) -> outcomes: encode, batch, measure. Written once for a point's run,
for `verify` and for `doctor`, which so measure exactly what a run would.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import torch
from torch import nn

from gradsweep.config import Dtype, GradientsConfig, ModelConfig
from gradsweep.engine.against_autograd import check_named_projections
from gradsweep.engine.attention import AttentionReader, with_shares
from gradsweep.engine.batch import collate, dealt, smallest_unit, token_batches
from gradsweep.engine.causality import check_causal
from gradsweep.engine.encoded_unit import encoded_unit
from gradsweep.engine.independence import INDEPENDENT, Independence, check_independence
from gradsweep.engine.lockstep import Lockstep
from gradsweep.engine.objectives import Objective
from gradsweep.engine.other_models import LogProbs, OtherModels, OthersOf, with_references
from gradsweep.engine.passes import Engine, OnFactors
from gradsweep.engine.paths import check_paths
from gradsweep.engine.schedule import default_workers, suppress_out_of_memory
from gradsweep.errors import ModelError
from gradsweep.models.finite_weights import check_finite_weights
from gradsweep.models.load import LoadedModel
from gradsweep.models.projections import ProjectionSite, find_projections
from gradsweep.records import (
    WHOLE,
    EncodedUnit,
    Sample,
    SampleResult,
    SampleStatus,
    Shard,
)

log = logging.getLogger("gradsweep")


class Run:
    """What one process measures of a point: its units, encoded and in batches.

    What is stored already does not matter here: a share, and a batch, is the same at every start.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        model: ModelConfig,
        gradients: GradientsConfig,
        objective: Objective,
        samples: Sequence[Sample],
        shard: Shard = WHOLE,
        others: OthersOf | None = None,
    ) -> None:
        """Encode and batch; nothing is measured yet.

        Args:
            loaded: weights and tokenizer; projections are looked up when measuring begins.
            model: how prompts are written and where texts are cut.
            gradients: what is measured, and how the work is laid out.
            objective: groups the samples and gives each unit its loss.
            samples: all samples of the point.
            shard: the share of them that is measured here.
            others: gives what the objective takes from a second model, for the units as encoded;
                None where it takes nothing.

        Raises:
            ModelError: `model.prompt` is chat and the tokenizer has no usable chat template.
        """
        self._loaded = loaded
        self._model = model
        self._gradients = gradients
        self._objective = objective
        refers = "reference" in objective.other_models and others is None
        outcomes = [encoded_unit(unit, loaded, model, refers) for unit in objective.units(samples)]
        rejected = [outcome for outcome in outcomes if isinstance(outcome, SampleResult)]
        encoded = [outcome for outcome in outcomes if isinstance(outcome, EncodedUnit)]
        self._others = others(encoded) if others and encoded else OtherModels()
        if self._others.references:
            encoded = [with_references(unit, self._others.references) for unit in encoded]
        self._units = encoded
        batches = list(token_batches(encoded, gradients.batch_tokens))
        self.rejected = rejected if shard.index == 0 else []
        """Outcomes of the share's units that cannot run."""
        self._all_batches = batches
        self._independence: Independence | None = None
        self.batches = dealt(batches, shard)
        """The units of the share that can, as they run together."""

    @property
    def references(self) -> LogProbs:
        """What a reference model said of the responses; empty without one."""
        return self._others.references

    @property
    def units(self) -> Sequence[EncodedUnit]:
        """The point's units that can run, over all shares, in the order of the data."""
        return self._units

    @property
    def teacher(self) -> nn.Module | None:
        """The objective's second model that runs beside the first."""
        return self._others.teacher

    @property
    def independence(self) -> Independence:
        """What was found when measuring first began; before that, nothing."""
        return self._independence or INDEPENDENT

    @property
    def device(self) -> torch.device:
        """The device of the model's first layers."""
        return self._loaded.model.device

    @property
    def n_units(self) -> int:
        """Units of this share, those that cannot run too."""
        return len(self.rejected) + sum(map(len, self.batches))

    @property
    def cut_lengths(self) -> list[int]:
        """Tokens that each response of the point that is cut would need; steps are not counted."""
        rows = [row for unit in self._units for row in unit.rows if row.sample.step is None]
        return [row.n_tokens_uncut for row in rows if row.truncated]

    @property
    def n_responses(self) -> int:
        """Responses of the point that can run, over all shares."""
        return sum(len(unit.rows) for unit in self._units)

    def n_stored(self, stored_ids: Collection[str]) -> int:
        """Count those of this share's units that are among these ids."""
        ids = [outcome.sample_id for outcome in self.rejected]
        ids += [unit.unit.unit_id for batch in self.batches for unit in batch]
        return sum(unit_id in stored_ids for unit_id in ids)

    def outcomes(
        self, stored_ids: Collection[str] = (), on_factors: OnFactors | None = None
    ) -> Iterator[list[SampleResult]]:
        """Yield what became of each unit that is not stored, batch by batch as they complete.

        The rejected ones come first; `on_factors` sees what the others' rows are made of. Raises as
        `Engine`.
        """
        rejected = [outcome for outcome in self.rejected if outcome.sample_id not in stored_ids]
        if rejected:
            yield rejected
        pending = [
            [unit for unit in batch if unit.unit.unit_id not in stored_ids]
            for batch in self.batches
        ]
        yield from self._measured([batch for batch in pending if batch], on_factors)

    def _measured(
        self, batches: Sequence[Sequence[EncodedUnit]], on_factors: OnFactors | None
    ) -> Iterator[list[SampleResult]]:
        group = self._loaded.group
        if not self._loaded.on_any_rank(bool(batches)):
            return
        model, gradients = self._loaded.model, self._gradients
        sites = find_projections(model, gradients.projections, self._model.named_projections)
        workers = 1 if group else gradients.workers  # threads would gather weights crosswise
        if self._independence is None:
            with suppress_out_of_memory(group):  # the run itself reports what does not fit
                self._check_paths(sites)
                if any(unit.unit.step for unit in self._units):
                    check_causal(self._loaded, self._units)
                if group:
                    group.vote()
            check_named_projections(self._loaded, self._model, sites, self._units)
            self._independence = self._tried_independence(workers or default_workers(model))
        independence = self._independence
        if not independence.of_batch:
            batches = [[unit] for batch in batches for unit in batch]
        if not independence.of_threads:
            workers = 1
        reader = AttentionReader(model, sites) if gradients.attention_shares else None
        if reader:
            workers = 1  # a pass in plain attention has the model for itself
        tensors = (collate(batch, model.device) for batch in batches)
        wanted = (gradients, workers, gradients.checkpointing, self._objective, on_factors)
        others = (self.teacher, self._lockstep())
        with Engine(model, sites, *wanted, *others) as engine, ExitStack() as stack:
            if reader:
                stack.enter_context(reader.installed())
            for place, results in engine.measure_all(tensors):
                units = batches[place]
                if reader:
                    measured = zip(units, results, strict=True)
                    results = [_read(reader, unit, result) for unit, result in measured]
                measured = zip(units, results, strict=True)
                yield [self._identified(result, unit) for unit, result in measured]

    def _check_paths(self, sites: Sequence[ProjectionSite]) -> None:
        """Raises as `check_paths`, and where its loss is no number for weights that are none."""
        loss = check_paths(self._loaded, sites, self._units)
        if self._loaded.on_any_rank(not math.isfinite(loss)):
            check_finite_weights(self._loaded, self._model)

    def _lockstep(self) -> Lockstep | None:
        """What ranks without work run: the smallest unit of the point."""
        if self._loaded.group is None:
            return None
        filler = collate([smallest_unit(self._units)], self._loaded.model.device)
        return Lockstep(self._loaded.group, filler)

    def _tried_independence(self, workers: int) -> Independence:
        """Of the point's units; where nothing runs beside anything, there is nothing to try."""
        rows = [sum(len(unit.rows) for unit in batch) for batch in self._all_batches]
        if workers == 1 and max(rows) == 1:
            return INDEPENDENT
        independence = check_independence(self._loaded, self._units)
        if not independence.of_batch and any(len(unit.rows) > 1 for unit in self._units):
            raise ModelError(
                f"model={self._model.name}: {independence}, and the units of this objective have "
                "several rows, none of which would have a gradient of its own"
            )
        if independence != INDEPENDENT:
            log.warning("model=%s: %s", self._model.name, independence)
        return independence

    def _identified(self, result: SampleResult, unit: EncodedUnit) -> SampleResult:
        """The engine's result, with what only the unit and the options tell."""
        step = unit.unit.step
        return replace(
            result,
            sample_id=unit.unit.unit_id,
            question_id=unit.unit.question_id,
            index=unit.unit.index,
            reason=_reason(result, self._model, self._gradients),
            n_prompt_tokens=sum(row.response_start for row in unit.rows),
            truncated=any(row.truncated for row in unit.rows),
            step_index=None if step is None else step.index,
            step_label=None if step is None else step.label,
        )


def _read(reader: AttentionReader, unit: EncodedUnit, result: SampleResult) -> SampleResult:
    """The result with what its heads look at; a unit of several responses has no one answer."""
    if len(unit.rows) > 1 or result.status is not SampleStatus.OK:
        return result
    return replace(result, rows=with_shares(result.rows, reader.shares(unit.rows[0])))


def _reason(result: SampleResult, model: ModelConfig, gradients: GradientsConfig) -> str:
    if result.status is SampleStatus.OK:
        return ""
    if result.status is SampleStatus.OUT_OF_MEMORY:
        remedies = [] if gradients.checkpointing else ["gradients.checkpointing=true"]
        remedies.append("a smaller model.max_length")
        remedies += ["model.dtype=bfloat16"] if model.dtype is Dtype.float32 else []
        remedies += ["more processes"] if model.placement else []
        spread = model.device_map or model.placement
        remedies += [] if spread else ["model.device_map=auto on several GPUs"]
        return f"it does not fit in memory even alone; what needs less: {', '.join(remedies)}"
    hint = "; model.dtype=bfloat16 has a wider range" if model.dtype is Dtype.float16 else ""
    return f"the loss is {result.loss}{hint}"
