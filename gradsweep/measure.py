"""From a batch of token ids to metric rows: gradients and spectra joined, nothing stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import polars as pl
from torch import Tensor, nn

from gradsweep.config import Solver
from gradsweep.gradients import (
    Batch,
    Factors,
    capture_factors,
    frozen,
    make_batch,
    response_losses,
    split_samples,
)
from gradsweep.models.projections import ProjectionSite, find_projections
from gradsweep.records import PROJECTIONS, SpectrumRow
from gradsweep.spectra import factor_spectra, rank_tolerance, spectrum_row


@dataclass(frozen=True)
class SpectraOptions:
    """How spectra are computed and what is kept of them."""

    solver: Solver = Solver.auto
    rank_tolerance: float | None = None
    """Relative to σ₁; None is eps(dtype)·max(m, n)."""
    save_spectra: bool = False


@dataclass(frozen=True)
class Measurement:
    """One sample's loss and the rows of its gradients."""

    loss: float
    """Mean cross-entropy over the response tokens, in nats."""
    n_response_tokens: int
    rows: tuple[SpectrumRow, ...]
    """By layer, then q, k, v, o; empty when the loss is not finite."""


def measure_batch(
    model: nn.Module,
    sites: Sequence[ProjectionSite],
    batch: Batch,
    options: SpectraOptions | None = None,
) -> list[Measurement]:
    """One forward and one backward pass; a Measurement for each sample of the batch.

    A sample whose loss is NaN or infinite gets no rows and leaves the others untouched.
    """
    options = options or SpectraOptions()
    rows: list[list[SpectrumRow]] = [[] for _ in batch.input_ids]
    finite: list[bool] = []

    def keep_rows(factors: Factors) -> None:
        for i, of_sample in split_samples(factors, batch):
            if finite[i]:
                rows[i] += _rows(of_sample, options)

    with frozen(model), capture_factors(sites, keep_rows):
        losses, counts = response_losses(model, batch)
        finite += losses.isfinite().tolist()
        if any(finite):
            losses[losses.isfinite()].sum().backward()
    return [
        Measurement(loss, count, tuple(sorted(r, key=_reading_order)))
        for loss, count, r in zip(losses.tolist(), counts.tolist(), rows, strict=True)
    ]


def _reading_order(row: SpectrumRow) -> tuple[int, int]:
    """The backward pass brings the last layer first; readers want the first."""
    return row.layer, PROJECTIONS.index(row.projection)


def _rows(factors: Factors, options: SpectraOptions) -> list[SpectrumRow]:
    """Rows of one sample for the projections that share an input."""
    rows = []
    for name, spectrum in factor_spectra(factors.x, factors.dy, options.solver).items():
        tolerance = options.rank_tolerance or rank_tolerance(
            factors.x.dtype, factors.dy[name].shape[1], factors.x.shape[1]
        )
        rows.append(spectrum_row(spectrum, factors.layer, name, tolerance, options.save_spectra))
    return rows


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
    layer and projection, σ(∂loss_i/∂W) (arXiv 2410.23743, section 3). Weight gradients are
    never formed, the model's own `requires_grad` and `training` flags are restored, and the
    batch changes nothing: every sample is measured as if it were alone.

    Args:
        model: a causal LM of a family in `gradsweep.models.projections.ADAPTERS`.
        input_ids: (batch, length) integers, on the model's device.
        response_mask: (batch, length), true at the tokens that carry loss.
        attention_mask: (batch, length), true at real tokens; padding on either side. None
            means no padding.
        projections: which of q, k, v, o to measure.
        options: solver, rank tolerance and whether to keep whole spectra.

    Raises:
        ModelError: an unknown family, or a projection that the model does not have.
        ValueError: shapes differ, or a sample without a response token.
    """
    sites = find_projections(model, projections)
    batch = make_batch(input_ids, response_mask, attention_mask)
    return GradientSpectra(tuple(measure_batch(model, sites, batch, options)))
