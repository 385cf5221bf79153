"""From a batch of token ids to rows: an objective's loss, a backward pass, the probe's rows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from threading import Lock
from weakref import WeakKeyDictionary

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from gradsweep.config import SpectraOptions
from gradsweep.engine.batch import Batch
from gradsweep.engine.capture import install_taps
from gradsweep.engine.checkpointing import checkpointed_layers
from gradsweep.engine.eigenvalue_sizes import EigenvalueSizes
from gradsweep.engine.factors import Factors
from gradsweep.engine.frozen import frozen
from gradsweep.engine.independence import independent_parts
from gradsweep.engine.lockstep import Lockstep, LockstepSchedule
from gradsweep.engine.objectives import Objective, Sft, objective_named
from gradsweep.engine.other_models import check_teacher
from gradsweep.engine.own_tensors import own_batch, unit_sizes, with_facts
from gradsweep.engine.paths import check_paths_of_batch, differentiable
from gradsweep.engine.response import ResponseTokens, install_response_head
from gradsweep.engine.result import GradientSpectra
from gradsweep.engine.rows import Members, RowSink
from gradsweep.engine.scaling import LossScale, needs_scaling, with_loss_scale
from gradsweep.engine.schedule import Schedule, default_workers, on_cpu, return_free_memory
from gradsweep.engine.spectra import RowMaker, backend_for
from gradsweep.models.projections import ProjectionSite, find_projections, with_heads
from gradsweep.models.unwrapped import unwrapped
from gradsweep.records import PROJECTIONS, SampleResult, SampleStatus

OnFactors = Callable[[Batch, list[Factors]], None]
"""Shown a batch and a layer's factors as its spectra are solved, by the thread that measures it."""


class Engine:
    """A model made ready to measure batch after batch; a context manager.

    The active way: weights are frozen, the loss is the objective's. On a CPU, `workers` threads
    measure a batch each, with one BLAS thread: a small model keeps two cores busier with two
    units than with two halves of every operation. With one worker, every operation uses all
    cores, and so do the spectra of a layer, one matrix a core. The numbers are the same either
    way.
    """

    def __init__(
        self,
        model: nn.Module,
        sites: Sequence[ProjectionSite],
        options: SpectraOptions | None = None,
        workers: int | None = None,
        checkpointing: bool = False,
        objective: Objective | None = None,
        on_factors: OnFactors | None = None,
        teacher: nn.Module | None = None,
        lockstep: Lockstep | None = None,
    ) -> None:
        self._model = model
        self._options = options or SpectraOptions()
        self._sites = with_heads(model, sites) if self._options.heads else sites
        self._objective = objective or Sft()
        self._make_rows = RowMaker(self._options)
        self._on_factors = on_factors
        self._teacher = teacher
        self._lockstep = lockstep
        self._cores = torch.get_num_threads()
        self._checkpointing = checkpointing
        self._needs_scaling = needs_scaling(model)
        self.workers = workers or default_workers(model)
        """Batches that are in memory at the same time."""

    def __enter__(self) -> Engine:
        with ExitStack() as stack:
            stack.enter_context(frozen(self._model))
            if self._checkpointing:
                stack.enter_context(checkpointed_layers(self._model, self._sites))
            self._taps = stack.enter_context(install_taps(self._sites))
            reads_prompts = self._objective.reads_prompts
            self._head = stack.enter_context(install_response_head(self._model, reads_prompts))
            if self._teacher is not None:
                stack.enter_context(frozen(self._teacher))
                self._teacher_head = stack.enter_context(
                    install_response_head(self._teacher, reads_prompts)
                )
            stack.enter_context(threadpool_limits(1, user_api="blas"))
            beside = self._cores if self.workers == 1 and on_cpu(self._model) else 0
            self._solvers = stack.enter_context(ThreadPoolExecutor(beside)) if beside else None
            stack.callback(return_free_memory)
            self._sizes = EigenvalueSizes(self._sites, self._options, self._objective.members)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def measure(self, batch: Batch) -> list[SampleResult]:
        """One forward and one backward pass; a result, without ids, for each unit of the batch.

        A unit whose loss is NaN or infinite gets no rows and leaves the others untouched.
        Only in float16 may there be further passes, for units whose gradients overflowed.

        Raises:
            torch.OutOfMemoryError, MemoryError: the batch does not fit; `measure_all` mends that.
        """
        start = time.monotonic()
        self._prepare(batch)
        scaling = self._needs_scaling
        results = with_loss_scale(self._pass, batch) if scaling else self._pass(batch)
        seconds = (time.monotonic() - start) / len(results)
        return [replace(result, seconds=seconds) for result in results]

    def _prepare(self, batch: Batch) -> None:
        """Let the devices make ready for the batch's sizes, so that no pass waits for that."""
        for device, sizes in self._sizes.of(batch.layout):
            backend_for(device).prepare(sizes)

    def _pass(self, batch: Batch, scale: LossScale | None = None) -> list[SampleResult]:
        finite: list[bool] = []
        members = Members(self._objective.member_names) if self._objective.members else None
        sink = RowSink(batch.layout, finite, self._options, self._make_rows, self._solvers, members)

        def add_layer(layer: list[Factors]) -> None:
            if scale:
                layer = [scale.unscaled(factors) for factors in layer]
            if self._on_factors:
                self._on_factors(batch, layer)
            sink.add_layer(layer)

        teacher_logits = self._teacher_logits(batch)
        with differentiable(), torch.enable_grad(), self._taps.collect(add_layer):
            tokens = self._head.tokens(self._model, batch, teacher_logits)
            losses = self._objective.losses(tokens)
            counts = tokens.unit_sums(tokens.counts)
            if members:
                members.signs += _signs(tokens, losses)
            del tokens  # the logits need not live through the backward pass
            known = torch.stack([losses.detach().double(), counts.double()]).tolist()
            finite += map(math.isfinite, known[0])
            if any(finite) or self._lockstep:  # where other ranks go backward, too
                scaled = scale.scaled(losses) if scale else losses
                summed = scaled if all(finite) else scaled[losses.isfinite()]
                summed.sum().backward()
        return [
            _result(loss, int(count), sink, unit)
            for unit, (loss, count) in enumerate(zip(*known, strict=True))
        ]

    def _teacher_logits(self, batch: Batch) -> Tensor | None:
        """The teacher's logits of the same tokens, where the model's lie."""
        if self._teacher is None:
            return None
        with torch.no_grad():
            logits = self._teacher_head.tokens(self._teacher, batch).logits
        return logits.to(next(self._model.parameters()).device)

    def measure_all(self, batches: Iterable[Batch]) -> Iterator[tuple[int, list[SampleResult]]]:
        """`measure` of every batch with its place in `batches`, in the order of completion.

        Where memory runs out, batches are measured in parts and fewer at a time (`schedule`). Of a
        model whose weights ranks share, all ranks call it, and it ends for all at once.
        """
        if self._lockstep:
            schedule = LockstepSchedule(self.measure, _does_not_fit, self._lockstep)
            return schedule.run(batches)
        return Schedule(self.measure, _does_not_fit, self.workers).run(batches)


def _signs(tokens: ResponseTokens, losses: Tensor) -> list[float]:
    """Of each row's summed weight on ∇log p; 1 where the loss is not made of log-probabilities."""
    known = losses[losses.isfinite()]
    if not len(known) or not tokens.log_probs.requires_grad:
        return [1.0] * len(tokens.counts)
    (weights,) = torch.autograd.grad(
        known.sum(), tokens.log_probs, retain_graph=True, allow_unused=True
    )
    if weights is None:
        return [1.0] * len(tokens.counts)
    of_response = 1.0 if tokens.of_response is None else tokens.of_response
    return tokens.row_sums(weights * of_response).sign().tolist()


def measure_batch(
    model: nn.Module,
    sites: Sequence[ProjectionSite],
    batch: Batch,
    options: SpectraOptions | None = None,
    objective: Objective | None = None,
) -> list[SampleResult]:
    """One batch by an `Engine` of its own; for many batches keep the engine."""
    with Engine(model, sites, options, workers=1, objective=objective) as engine:
        return engine.measure(batch)


def _result(loss: float, count: int, sink: RowSink, unit: int) -> SampleResult:
    rows = sink.rows(unit)
    return SampleResult(
        status=SampleStatus.OK if rows else SampleStatus.NON_FINITE_LOSS,
        loss=loss,
        n_response_tokens=count,
        rows=rows,
    )


def _does_not_fit(unit: Batch) -> SampleResult:
    n_response_tokens = int(unit.response_mask.sum())
    return SampleResult(
        status=SampleStatus.OUT_OF_MEMORY, loss=math.nan, n_response_tokens=n_response_tokens
    )


def gradient_spectra(
    model: nn.Module,
    input_ids: Tensor,
    response_mask: Tensor,
    *,
    attention_mask: Tensor | None = None,
    projections: Sequence[str] = PROJECTIONS,
    options: SpectraOptions | None = None,
    objective: Objective | str | None = None,
    units: Sequence[int] | None = None,
    rewards: Sequence[float] | Tensor | None = None,
    reference_log_probs: Sequence[float] | Tensor | None = None,
    teacher: nn.Module | None = None,
) -> GradientSpectra:
    """Exact gradient spectra of a batch on a Hugging Face causal LM.

    For each unit i (a row of the batch, unless `units` says otherwise): loss_i is the
    objective's, by default the mean cross-entropy over its response tokens; for each layer and
    projection, σ(∂loss_i/∂W) (arXiv 2410.23743, section 3). Autograd computes
    no weight gradient, the model's own `requires_grad` and `training` flags are restored, and the
    batch changes nothing: every unit is measured as if it were alone. A model is checked the first
    time it comes with these projections, by a few passes of the shortest row (`check_paths`).

    Args:
        model: a causal LM of a family in `gradsweep.models.projections.ADAPTERS`, bare or wrapped
            by PEFT, `torch.compile` or DistributedDataParallel. Calls from several threads wait
            for each other.
        input_ids: (rows, length) integers, on the device of the model's embedding.
        response_mask: (rows, length), true at the tokens that carry loss.
        attention_mask: (rows, length), true at real tokens, padded on either side; None: all are.
        projections: what to measure: q k v o, gate up down or fc1 fc2.
        options: solver, rank tolerance, which singular values to keep, cosines between layers,
            rows of single attention heads.
        objective: what loss a unit has: an `Objective`, a name of conf/objective with its options
            as they are there, or None for `gradsweep.engine.objectives.Sft`.
        units: number of rows of each unit, whose rows lie together: 2 of a pair, chosen before
            rejected. None: two each for an objective of pairs, all rows together for one of
            groups, else one.
        rewards: (rows,), for objectives that weigh responses; None: all 1.
        reference_log_probs: of a reference model, in nats: (rows,) sums over each response, or
            (rows, length) by token as `response_mask`; None: the model is the reference.
        teacher: a causal LM with the same vocabulary, for `distill`.

    Raises:
        ConfigError: there is no objective of this name.
        ModelError: an unknown family, a projection that the model does not have, units of
            several rows in a model whose rows depend on each other, a teacher with another
            vocabulary, or a model some part of which has no backward.
        ValueError: shapes differ, something that is no mask, an id without an embedding, a row
            without a response token, units that are not whole, or a call inside
            `torch.autocast` or `torch.inference_mode`.
    """
    model = unwrapped(model)
    sites = find_projections(model, projections)
    made = objective_named(objective) if isinstance(objective, str) else objective
    sizes = unit_sizes(made, units, len(input_ids))
    batch = own_batch(model, input_ids, response_mask, attention_mask, sizes)
    batch = with_facts(batch, rewards, reference_log_probs)
    if teacher is not None:
        check_teacher(model, teacher)
    with _one_at_a_time(model):
        # What options ask of the sites is refused before anything runs.
        engine = Engine(model, sites, options, workers=1, objective=made, teacher=teacher)
        check_paths_of_batch(model, sites, batch)
        parts = independent_parts(model, batch)
        with engine:
            return GradientSpectra(tuple(unit for part in parts for unit in engine.measure(part)))


def _one_at_a_time(model: nn.Module) -> Lock:
    """Freezing and thawing the weights is the model's, not a thread's."""
    with _LOCKS_CHANGE:
        return _LOCKS.setdefault(model, Lock())


_LOCKS: WeakKeyDictionary[nn.Module, Lock] = WeakKeyDictionary()
_LOCKS_CHANGE = Lock()
