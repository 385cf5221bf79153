"""Stored numbers against their definition: autograd's weight gradients and a float64 SVD.

The reference (`reference.py`) shares with the engine only the model, the token ids, the objective
and the places of the projections.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table

from gradsweep.config import Config, Dtype
from gradsweep.data import load_samples
from gradsweep.doctor.reference import OF_SAMPLE, Advance, Place, Reference, Values
from gradsweep.engine.objectives import make_objective
from gradsweep.engine.run import Run
from gradsweep.engine.spectra import NOISE
from gradsweep.errors import DataError, ModelError
from gradsweep.models.load import load_model
from gradsweep.models.projections import ProjectionSite, find_projections
from gradsweep.models.quantization import dequantise, is_four_bit, to_float32
from gradsweep.records import SampleResult

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

OWN_TOLERANCE = 1e-4
"""The same for a metric of the user's own."""


def tolerance(metric: str) -> float:
    """Return the largest relative error that is agreement."""
    return TOLERANCES.get(metric, OWN_TOLERANCE)


HALF_TOLERANCE = 0.05
"""Largest *median* relative error of a metric in the model's own half precision, against float32:
single matrices may be off by several times that, and a wrong formula would move them all."""


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
        return self.worst.error <= tolerance(self.worst.metric) and half_holds


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
    objective = make_objective(config.objective)
    wanted, named = config.gradients.projections, config.model.named_projections
    _check_differentiable(find_projections(loaded.model, wanted, named))

    run = Run(loaded, config.model, config.gradients, objective, samples)

    def measured() -> dict[int, SampleResult]:
        return {result.index: result for results in run.outcomes() for result in results}

    units = {unit.unit.index: unit for batch in run.batches for unit in batch}
    half = {} if config.model.dtype is Dtype.float32 else measured()
    to_float32(loaded.model)
    outcomes = measured()
    dequantise(loaded.model)
    sites = find_projections(loaded.model, wanted, named)
    comparable = sorted(i for i, outcome in outcomes.items() if math.isfinite(outcome.loss))
    if not comparable:
        raise DataError(
            f"none of the {len(samples)} samples can be compared; the first: "
            f"{outcomes[min(outcomes)].reason}"
        )
    reference = Reference(loaded.model, sites, objective, config.gradients)
    advance = start(len(comparable) * sum(len(site.columns) for site in sites))
    references = {i: reference.values(units[i], advance) for i in comparable}
    ours = {i: _values(outcome) for i, outcome in outcomes.items()}
    in_half = {i: _values(outcome) for i, outcome in half.items()}
    skipped = [
        outcome for _, outcome in sorted(outcomes.items()) if outcome.index not in references
    ]
    return Verification(
        differences=tuple(_differences(ours, references)),
        half=tuple(_differences(in_half, references)) if half else (),
        dtype=config.model.dtype,
        n_samples=len(references),
        skipped=tuple(f"sample {skip.index} left out: {skip.reason}" for skip in skipped),
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


def _values(outcome: SampleResult) -> Values:
    values: Values = {OF_SAMPLE: {"loss": outcome.loss}}
    for row in outcome.rows:
        metrics = {name: getattr(row, name) for name in TOLERANCES if name != "loss"}
        values[row.layer, row.projection] = metrics | dict(row.own_metrics)
    return values


def _differences(ours: dict[int, Values], references: dict[int, Values]) -> Iterator[Difference]:
    """Every number of the references beside ours, and every row of ours without a reference."""
    for sample, reference in references.items():
        for place in dict.fromkeys([*reference, *ours[sample]]):
            here, there = ours[sample].get(place, {}), reference.get(place, {})
            noise = _noise(reference, place)
            for metric in here.keys() | there.keys():
                error = _relative_error(here.get(metric), there.get(metric))
                if noise and max(here.get("frobenius_norm", math.inf), 0.0) <= noise:
                    error = 0.0  # both are rounding noise: zero, and undefined ratios
                yield Difference(metric, place[1], place[0], sample, error)


def _noise(reference: Values, place: Place) -> float:
    """The norm up to which ours counts as zero, where the reference's is rounding noise; else 0."""
    layer = [v["frobenius_norm"] for (i, _), v in reference.items() if i == place[0] >= 0]
    bound = NOISE * max(layer, default=0.0)
    norm = reference.get(place, {}).get("frobenius_norm", math.inf)
    return bound if norm <= bound else 0.0


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
    order = list(dict.fromkeys([*TOLERANCES, *sorted(d.metric for d in differences)]))
    grouped: dict[tuple[str, str], list[Difference]] = {}
    for difference in sorted(differences, key=lambda d: order.index(d.metric)):
        grouped.setdefault((difference.metric, difference.projection), []).append(difference)
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
        texts.append(f"{tolerance(worst.metric):.0e}")
        if verification.half:
            texts += [f"{cell.half_median:.1e}", f"{cell.half_worst:.1e}"]
        table.add_row(*texts, style=None if cell.holds else "bold red")
    return table
