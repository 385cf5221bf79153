"""Stored numbers against their definition: autograd's weight gradients and a float64 SVD.

The reference shares with the engine only the model, the token ids and the places of the
projections: one sample at a time, the measured weights trainable, the loss from the model's own
full logits, `param.grad`, `torch.linalg.svdvals` in float64.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F
from transformers.pytorch_utils import Conv1D

from gradsweep.config import Config, Dtype
from gradsweep.data import load_samples
from gradsweep.engine import collate, token_batches, trainable
from gradsweep.engine.passes import Engine, Measurement, SpectraOptions
from gradsweep.errors import DataError, ModelError
from gradsweep.models.encode import encode
from gradsweep.models.load import LoadedModel, load_model
from gradsweep.models.projections import ProjectionSite, find_projections
from gradsweep.models.quantization import dequantise, is_four_bit, to_float32
from gradsweep.records import EncodedSample

TOLERANCES = {
    "loss": 1e-5,
    "nuclear_norm": 1e-5,
    "sigma_max": 1e-5,
    "frobenius_norm": 1e-5,
    "sigma_ratio": 2e-5,
    "effective_rank": 1e-4,
    "stable_rank": 4e-5,
}
"""Largest relative error by metric, in float32. Ratios add up the errors of their parts; an
effective rank weighs the smallest singular values by their logarithm."""

HALF_TOLERANCE = 0.05
"""Largest *median* relative error of a metric in the model's own half precision, against float32:
single matrices may be off by several times that, and a wrong formula would move them all."""

Place = tuple[int, str]
"""(layer, projection); the loss of a sample, which has neither, is at `OF_SAMPLE`."""
OF_SAMPLE: Place = (-1, "")
Values = dict[Place, dict[str, float]]
"""Metric -> value, at every place of one sample."""
Advance = Callable[[], None]


@dataclass(frozen=True)
class Difference:
    """One number of the engine's beside the reference's."""

    metric: str
    projection: str
    layer: int
    sample: int
    """Its `index` in the point's sample order."""
    error: float
    """|ours − reference| / |reference|; infinite when only one of the two is a number."""


@dataclass(frozen=True)
class Verification:
    """What was compared; `holds` is the verdict."""

    differences: tuple[Difference, ...]
    """Engine against reference, both in float32."""
    half: tuple[Difference, ...]
    """Engine in the model's own half precision against the same reference; empty for float32."""
    dtype: Dtype
    n_samples: int
    skipped: tuple[str, ...]
    """Why samples could not be compared, one sentence each."""

    @property
    def holds(self) -> bool:
        return all(cell.holds for cell in cells(self))


@dataclass(frozen=True)
class Cell:
    """All differences of one metric and projection, summed up: one line of the table."""

    worst: Difference
    """In float32."""
    half_median: float | None
    half_worst: float | None
    """In half precision; None for a float32 model."""

    @property
    def holds(self) -> bool:
        half_holds = self.half_median is None or self.half_median <= HALF_TOLERANCE
        return self.worst.error <= TOLERANCES[self.worst.metric] and half_holds


def verify(config: Config, start: Callable[[int], Advance]) -> Verification:
    """Measure the point's samples as a run would, and again from the definition.

    The comparison is made in float32: half-precision weights are converted, which is exact; the
    reference of a 4-bit model is the dense one with its dequantised weights. With a half-precision
    model the engine also runs in the model's own precision, against the same reference.

    Args:
        config: the point; its `n_samples` says how many are compared. Nothing is stored.
        start: called with the number of gradients to decompose; what it returns is called
            after each of them.

    Raises:
        ConfigError, ModelError: input that cannot be run; names the field.
        DataError: the data cannot be read, or not one sample can be compared.
    """
    samples = load_samples(config).samples
    loaded = load_model(config.model, config.gradients.device)
    length = config.model.max_length
    outcomes = [encode(s, loaded.tokenizer, config.model.prompt, length) for s in samples]
    encoded = [outcome for outcome in outcomes if isinstance(outcome, EncodedSample)]
    sites = find_projections(loaded.model, config.gradients.projections)
    _check_differentiable(sites)
    half = {} if config.model.dtype is Dtype.float32 else _ours(config, loaded, sites, encoded)
    to_float32(loaded.model)
    ours = _ours(config, loaded, sites, encoded)
    dequantise(loaded.model)
    sites = find_projections(loaded.model, config.gradients.projections)
    comparable = [s for s in encoded if math.isfinite(ours[s.sample.index][OF_SAMPLE]["loss"])]
    if not comparable:
        raise DataError(f"none of the {len(samples)} samples has a response with a finite loss")
    advance = start(len(comparable) * sum(len(site.columns) for site in sites))
    references = {s.sample.index: _reference(loaded, sites, s, advance) for s in comparable}
    left_out = sorted({s.index for s in samples} - references.keys())
    return Verification(
        differences=tuple(_differences(ours, references)),
        half=tuple(_differences(half, references)) if half else (),
        dtype=config.model.dtype,
        n_samples=len(references),
        skipped=tuple(f"sample {i} left out: it has no finite loss or no memory" for i in left_out),
    )


def _check_differentiable(sites: Sequence[ProjectionSite]) -> None:
    """Raises ModelError where autograd has no weight gradient to compare with."""
    for site in sites:
        weight = dict(site.module.named_parameters(recurse=False)).get("weight")
        if is_four_bit(site.module):
            continue  # it will be dequantised
        if weight is None or not weight.is_floating_point():
            raise ModelError(
                "verify needs weights that autograd can differentiate; "
                f"{' '.join(site.columns)} of layer {site.layer} is a "
                f"{type(site.module).__name__} without: take the model unquantised, unadapted"
            )


def _ours(
    config: Config,
    loaded: LoadedModel,
    sites: Sequence[ProjectionSite],
    samples: Sequence[EncodedSample],
) -> dict[int, Values]:
    """The engine's numbers by sample index, in the batches that a run would make."""
    wanted = config.gradients
    options = SpectraOptions(wanted.solver, wanted.rank_tolerance)
    batches = list(token_batches(samples, wanted.batch_tokens))
    tensors = (collate(batch, loaded.model.device) for batch in batches)
    found = {}
    with Engine(loaded.model, sites, options, wanted.workers, wanted.checkpointing) as engine:
        for place, measured in engine.measure_all(tensors):
            for sample, measurement in zip(batches[place], measured, strict=True):
                found[sample.sample.index] = _values(measurement)
    return found


def _values(measurement: Measurement) -> Values:
    values: Values = {OF_SAMPLE: {"loss": measurement.loss}}
    for row in measurement.rows:
        metrics = {name: getattr(row, name) for name in TOLERANCES if name != "loss"}
        values[row.layer, row.projection] = metrics
    return values


def _reference(
    loaded: LoadedModel, sites: Sequence[ProjectionSite], sample: EncodedSample, advance: Advance
) -> Values:
    """One sample by the definition (paper section 3): loss, backward, SVD of every `param.grad`."""
    ids = torch.tensor(sample.input_ids).to(loaded.model.device)
    with trainable([site.module.get_parameter("weight") for site in sites]), torch.enable_grad():
        logits = loaded.model(input_ids=ids[None], use_cache=False).logits[0]
        start = sample.response_start
        loss = F.cross_entropy(logits[start - 1 : -1], ids[start:].to(logits.device))
        loss.backward()
        values: Values = {OF_SAMPLE: {"loss": loss.item()}}
        for site in sites:
            for name, gradient in _gradients(site):
                values[site.layer, name] = _metrics(gradient, n_tokens=len(ids))
                advance()
    return values


def _gradients(site: ProjectionSite) -> Iterator[tuple[str, Tensor]]:
    """The (m, n) gradient of every projection in a module, cut out where several share one."""
    gradient = site.module.get_parameter("weight").grad
    assert gradient is not None
    if isinstance(site.module, Conv1D):
        gradient = gradient.T  # GPT-2 keeps its weights as (n, m)
    for name, columns in site.columns.items():
        yield name, gradient if columns is None else gradient[columns.to(gradient.device)]


def _metrics(gradient: Tensor, n_tokens: int) -> dict[str, float]:
    """Metrics from the float64 singular values of a stored gradient, each by its definition.

    Only the first min(T, m, n) values enter: the others are zero in exact arithmetic, and what
    a float32 gradient has there is the rounding of its entries.
    """
    sigma = torch.linalg.svdvals(gradient.double())[:n_tokens]
    nuclear, largest, frobenius = (float(v) for v in (sigma.sum(), sigma[0], sigma.norm()))
    p = sigma[sigma > 0] / nuclear
    return {
        "nuclear_norm": nuclear,
        "sigma_max": largest,
        "frobenius_norm": frobenius,
        "sigma_ratio": largest / nuclear if nuclear else math.nan,
        "effective_rank": float((-p * p.log()).sum().exp()) if nuclear else math.nan,
        "stable_rank": (frobenius / largest) ** 2 if largest else math.nan,
    }


def _differences(ours: dict[int, Values], references: dict[int, Values]) -> Iterator[Difference]:
    """Every number of the references beside ours, and every row of ours without a reference."""
    for sample, reference in references.items():
        for place in dict.fromkeys([*reference, *ours[sample]]):
            here, there = ours[sample].get(place, {}), reference.get(place, {})
            for metric in here.keys() | there.keys():
                error = _relative_error(here.get(metric), there.get(metric))
                yield Difference(metric, place[1], place[0], sample, error)


def _relative_error(ours: float | None, reference: float | None) -> float:
    """Undefined on both sides (the ratios of a zero gradient) is agreement."""
    if ours is None or reference is None or math.isnan(ours) != math.isnan(reference):
        return math.inf
    if ours == reference or math.isnan(ours):
        return 0.0
    return abs(ours - reference) / abs(reference) if reference else math.inf


def cells(verification: Verification) -> list[Cell]:
    """One for the loss, then one for every metric and projection, in reading order."""
    half = _grouped(verification.half)
    return [
        Cell(
            worst=max(found, key=lambda difference: difference.error),
            half_median=statistics.median(d.error for d in half[key]) if half else None,
            half_worst=max(d.error for d in half[key]) if half else None,
        )
        for key, found in _grouped(verification.differences).items()
    ]


def _grouped(differences: Sequence[Difference]) -> dict[tuple[str, str], list[Difference]]:
    order = list(TOLERANCES)
    grouped: dict[tuple[str, str], list[Difference]] = {}
    for found in sorted(differences, key=lambda d: order.index(d.metric)):
        grouped.setdefault((found.metric, found.projection), []).append(found)
    return grouped


def verification_table(verification: Verification) -> Table:
    """The worst error of every metric and projection, where it is, and what is allowed."""
    table = Table("metric", "projection", "worst error", "layer", "sample", "tolerance")
    if verification.half:
        name = verification.dtype.name
        table.add_column(f"{name}: median", style="dim")
        table.add_column("worst", style="dim")
    for cell in cells(verification):
        worst = cell.worst
        layer = str(worst.layer) if worst.projection else ""
        texts = [worst.metric, worst.projection, f"{worst.error:.1e}", layer, str(worst.sample)]
        texts.append(f"{TOLERANCES[worst.metric]:.0e}")
        if verification.half:
            texts += [f"{cell.half_median:.1e}", f"{cell.half_worst:.1e}"]
        table.add_row(*texts, style=None if cell.holds else "bold red")
    return table
