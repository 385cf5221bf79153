"""From a batch of token ids to metric rows: gradients and spectra joined, nothing stored."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain

import polars as pl
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from gradsweep.config import Solver
from gradsweep.engine import (
    Batch,
    Factors,
    LossScale,
    checkpointed_layers,
    frozen,
    install_response_head,
    install_taps,
    make_batch,
    needs_scaling,
    split_samples,
    with_loss_scale,
)
from gradsweep.engine.schedule import Schedule, default_workers, on_cpu, return_free_memory
from gradsweep.engine.spectra import (
    SampleCosines,
    Spectrum,
    many_spectra,
    rank_tolerance,
    spectrum_row,
)
from gradsweep.models.projections import ProjectionSite, find_projections
from gradsweep.records import ALL_PROJECTIONS, PROJECTIONS, SpectrumRow

POOLED_WORK = 1e8
"""Flops of XXᵀ from which a layer's spectra are spread over the cores."""


@dataclass(frozen=True)
class SpectraOptions:
    """How spectra are computed and what is kept of them."""

    solver: Solver = Solver.auto
    rank_tolerance: float | None = None
    """Relative to σ₁; None is eps(dtype)·max(m, n)."""
    save_spectra: bool = False
    """Keep all singular values in the rows."""
    top_k: int | None = None
    """Keep the k largest of them, without `save_spectra`."""
    similarities: bool = False
    """Cosines with the next layer's gradient and with the partner's."""

    @property
    def kept(self) -> int | None:
        """Singular values that a row keeps; None for all."""
        return None if self.save_spectra else self.top_k or 0


@dataclass(frozen=True)
class Measurement:
    """One sample's loss and the rows of its gradients."""

    loss: float
    """Mean cross-entropy over the response tokens, in nats."""
    n_response_tokens: int
    rows: tuple[SpectrumRow, ...]
    """By layer, then as in `ALL_PROJECTIONS`; empty when the loss is not finite."""
    seconds: float
    """Wall time of this sample's share of its batch, on its worker."""
    out_of_memory: bool = False
    """It does not fit in memory even alone: the loss is NaN and there are no rows."""


class Engine:
    """A model made ready to measure batch after batch; a context manager.

    On a CPU, `workers` threads measure a batch each, with one BLAS thread: a small model
    keeps two cores busier with two samples than with two halves of every operation. With
    one worker, every operation uses all cores, and so do the spectra of a layer, one matrix
    a core. The numbers are the same either way.
    """

    def __init__(
        self,
        model: nn.Module,
        sites: Sequence[ProjectionSite],
        options: SpectraOptions | None = None,
        workers: int | None = None,
        checkpointing: bool = False,
    ) -> None:
        self._model = model
        self._sites = sites
        self._options = options or SpectraOptions()
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
            self._head = stack.enter_context(install_response_head(self._model))
            stack.enter_context(threadpool_limits(1, user_api="blas"))
            beside = self._cores if self.workers == 1 and on_cpu(self._model) else 0
            self._solvers = stack.enter_context(ThreadPoolExecutor(beside)) if beside else None
            stack.callback(return_free_memory)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def measure(self, batch: Batch) -> list[Measurement]:
        """One forward and one backward pass; a Measurement for each sample of the batch.

        A sample whose loss is NaN or infinite gets no rows and leaves the others untouched.
        Only in float16 may there be further passes, for samples whose gradients overflowed.

        Raises:
            torch.OutOfMemoryError, MemoryError: the batch does not fit; `measure_all` mends that.
        """
        start = time.monotonic()
        found = with_loss_scale(self._pass, batch) if self._needs_scaling else self._pass(batch)
        seconds = (time.monotonic() - start) / len(found)
        return [replace(measurement, seconds=seconds) for measurement in found]

    def _pass(self, batch: Batch, scale: LossScale | None = None) -> list[Measurement]:
        finite: list[bool] = []
        rows = _RowSink(batch, finite, self._options, self._solvers)

        def add_layer(layer: list[Factors]) -> None:
            if scale:
                layer = [scale.unscaled(factors) for factors in layer]
                for place in scale.overflowed:
                    finite[place] = False
            rows.add_layer(layer)

        with torch.enable_grad(), self._taps.collect(add_layer):
            losses, counts = self._head.losses(self._model, batch)
            finite += losses.isfinite().tolist()
            if any(finite):
                scaled = scale.scaled(losses) if scale else losses
                scaled[losses.isfinite()].sum().backward()
        by_sample = [tuple(sorted(found, key=_reading_order)) for found in rows.by_sample]
        return [
            Measurement(loss, count, found, seconds=math.nan)
            for loss, count, found in zip(losses.tolist(), counts.tolist(), by_sample, strict=True)
        ]

    def measure_all(self, batches: Iterable[Batch]) -> Iterator[tuple[int, list[Measurement]]]:
        """`measure` of every batch with its place in `batches`, in the order of completion.

        Where memory runs out, batches are measured in parts and fewer at a time (`schedule`).
        """
        return Schedule(self.measure, _does_not_fit, self.workers).run(batches)


def measure_batch(
    model: nn.Module,
    sites: Sequence[ProjectionSite],
    batch: Batch,
    options: SpectraOptions | None = None,
) -> list[Measurement]:
    """One batch by an `Engine` of its own; for many batches keep the engine."""
    with Engine(model, sites, options, workers=1) as engine:
        return engine.measure(batch)


def _does_not_fit(sample: Batch) -> Measurement:
    n_response_tokens = int(sample.response_mask.sum())
    return Measurement(math.nan, n_response_tokens, (), math.nan, out_of_memory=True)


class _RowSink:
    """Turns factors into rows as they come, in this thread or in a pool."""

    def __init__(
        self,
        batch: Batch,
        finite: Sequence[bool],
        options: SpectraOptions,
        solvers: ThreadPoolExecutor | None,
    ) -> None:
        self._batch = batch
        self._finite = finite
        self._options = options
        self._solvers = solvers
        self.by_sample: list[list[SpectrumRow]] = [[] for _ in batch.input_ids]
        self._cosines = [SampleCosines() for _ in batch.input_ids if options.similarities]

    def add_layer(self, layer: list[Factors]) -> None:
        """Solve a layer's spectra before the backward pass goes on, so that factors are freed.

        Small matrices are solved here: handing them over costs more than it gains.
        """
        samples = [found for factors in layer for found in split_samples(factors, self._batch)]
        samples = [(i, of_sample) for i, of_sample in samples if self._finite[i]]
        solve = partial(_rows, options=self._options)
        tokens, n = self._batch.input_ids.shape[1], layer[0].x.shape[-1]
        pool = self._solvers if tokens * tokens * n > POOLED_WORK else None
        in_turn = pool.map if pool else map
        # On CUDA the eigenvalues of the whole layer are found together.
        together = len(samples) if layer[0].x.is_cuda else 1
        parts = [samples[i : i + together] for i in range(0, len(samples), together)]
        for i, rows in chain.from_iterable(in_turn(solve, parts)):
            self.by_sample[i] += rows
        if self._cosines:
            of_layer: dict[int, list[Factors]] = {}
            for i, factors in samples:
                of_layer.setdefault(i, []).append(factors)
            list(in_turn(self._add_cosines, of_layer, of_layer.values()))

    def _add_cosines(self, i: int, layer: list[Factors]) -> None:
        """Into sample i's rows of the layer that has just been solved."""
        rows = self.by_sample[i]
        start = len(rows) - sum(len(factors.dy) for factors in layer)
        rows[start:] = self._cosines[i].complete(rows[start:], layer)


def _rows(
    samples: Sequence[tuple[int, Factors]], options: SpectraOptions
) -> list[tuple[int, list[SpectrumRow]]]:
    """Rows of each sample's projections that share an input, with the sample's place."""
    spectra = many_spectra([(factors.x, factors.dy) for _, factors in samples], options.solver)
    return [
        (i, [_row(factors, name, spectrum, options) for name, spectrum in of_input.items()])
        for (i, factors), of_input in zip(samples, spectra, strict=True)
    ]


def _row(factors: Factors, name: str, spectrum: Spectrum, options: SpectraOptions) -> SpectrumRow:
    m, n = factors.dy[name].shape[1], factors.x.shape[1]
    tolerance = options.rank_tolerance or rank_tolerance(factors.x.dtype, m, n)
    return spectrum_row(spectrum, factors.layer, name, tolerance, options.kept)


def _reading_order(row: SpectrumRow) -> tuple[int, int]:
    """The backward pass brings the last layer first; readers want the first."""
    return row.layer, ALL_PROJECTIONS.index(row.projection)


@dataclass(frozen=True)
class GradientSpectra:
    """What `gradient_spectra` found, sample by sample."""

    samples: tuple[Measurement, ...]

    def to_polars(self) -> pl.DataFrame:
        """One line per (sample, layer, projection): `sample`, `loss` and every field of a row."""
        return pl.DataFrame(
            [
                {"sample": i, "loss": sample.loss} | asdict(row)
                for i, sample in enumerate(self.samples)
                for row in sample.rows
            ]
        )


def gradient_spectra(
    model: nn.Module,
    input_ids: Tensor,
    response_mask: Tensor,
    *,
    attention_mask: Tensor | None = None,
    projections: Sequence[str] = PROJECTIONS,
    options: SpectraOptions | None = None,
) -> GradientSpectra:
    """Exact gradient spectra of a batch on a Hugging Face causal LM.

    For each sample i: loss_i is the mean cross-entropy over its response tokens; for each
    layer and projection, σ(∂loss_i/∂W) (arXiv 2410.23743, section 3). Autograd computes
    no weight gradient, the model's own `requires_grad` and `training` flags are restored, and the
    batch changes nothing: every sample is measured as if it were alone.

    Args:
        model: a causal LM of a family in `gradsweep.models.projections.ADAPTERS`.
        input_ids: (batch, length) integers, on the device of the model's embedding.
        response_mask: (batch, length), true at the tokens that carry loss.
        attention_mask: (batch, length), true at real tokens; padding on either side. None
            means no padding.
        projections: what to measure: q k v o, gate up down or fc1 fc2.
        options: solver, rank tolerance, which singular values to keep, cosines between layers.

    Raises:
        ModelError: an unknown family, or a projection that the model does not have.
        ValueError: shapes differ, or a sample without a response token.
    """
    sites = find_projections(model, projections)
    batch = make_batch(input_ids, response_mask, attention_mask)
    return GradientSpectra(tuple(measure_batch(model, sites, batch, options)))
