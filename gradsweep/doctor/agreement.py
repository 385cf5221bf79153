"""Numbers of the engine beside what they should be, and the two verdicts of `verify`.

(a) What gradsweep adds: a row beside a float64 SVD of the factors that the engine solved.
(b) What the precision costs: the engine's gradient dYᵀX, and autograd's, beside the truth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradsweep.config import Dtype
from gradsweep.doctor.reference import Gradients
from gradsweep.engine import Factors
from gradsweep.engine.spectra import NOISE, OwnMetric, Spectrum
from gradsweep.records import SpectrumRow

SPECTRUM = "spectrum"
"""All singular values of a row: the largest |σ_i − expected| / σ₁."""
ROW = "row"
"""Whether the row is there, and is one that should be."""
ADDED = {
    ROW: 0.0,
    SPECTRUM: 1e-7,
    "nuclear_norm": 1e-6,
    "sigma_max": 1e-7,
    "frobenius_norm": 1e-7,
    "sigma_ratio": 1e-6,
    "effective_rank": 1e-4,
    "stable_rank": 4e-7,
}
"""(a): largest relative error by metric. A nuclear norm adds up to T singular values that are zero
and come as 1e-8 of σ₁; an effective rank weighs them by their logarithm, too."""
ADDED_OWN = 1e-4
"""The same for a metric of the user's own."""

MOST_TIMES = 2.0
"""(b): how many times as far from the truth as autograd the engine may be, beside noise."""
NOISE_SHARE = 0.25
"""Of the norm up to which a gradient counts as zero (docs/numerics.md): so four roundings of one
whose tokens do not cancel. Two distances that are both next to nothing are a tie."""
LOSS = "loss"
LOSS_ROUNDINGS, LOSS_ROUNDINGS_16_BITS = 64, 4
"""Roundings of a loss, or of 1 nat where it is smaller, that are noise."""
WEAKER = {torch.float32: 1e-3, torch.bfloat16: 0.25, torch.float16: 0.25}
"""The largest distance to autograd's gradient where that, of the same precision, has to do as the
truth: both round, by an amount that depends on the machine."""


@dataclass(frozen=True)
class RowError:
    """One number of a row beside that of its own factors."""

    metric: str
    layer: int
    projection: str
    sample: int
    """Its `index` in the point's sample order."""
    error: float
    """|ours − expected| / |expected|; infinite when only one of the two is a number."""

    @property
    def holds(self) -> bool:
        return self.error <= most_added(self.metric)


def most_added(metric: str) -> float:
    """Return the largest relative error that a row of this metric may have."""
    return ADDED.get(metric, ADDED_OWN)


@dataclass(frozen=True)
class Distance:
    """How far the engine and autograd are from the truth: in one gradient, or in one loss."""

    layer: int
    projection: str
    """`LOSS` for a loss, which has no layer."""
    sample: int
    """Its `index` in the point's sample order."""
    engine: float
    """‖dYᵀX − G‖_F / ‖G‖_F, G being the true gradient; of a loss |ours − true|."""
    autograd: float | None
    """The same of `weight.grad`; None where that has to do as the truth."""
    allowed: float
    """Largest distance of the engine's that is agreement; infinite where autograd overflowed."""
    nuclear: tuple[float, float] | None
    """Relative errors of Σσ, the engine's row's and autograd's; a loss has none."""

    @property
    def holds(self) -> bool:
        return self.engine <= self.allowed


class OwnFactors:
    """One unit's factors in one layer, as the engine solved them, in float64 on the CPU."""

    def __init__(self, layer: Sequence[Factors]) -> None:
        self._eps = torch.finfo(layer[0].x.dtype).eps
        self._token_norms = {name: v for of in layer for name, v in of.token_norms.items()}
        self._of = {
            name: (dy.cpu().double(), factors.x.cpu().double())
            for factors in layer
            for name, dy in factors.dy.items()
        }
        self._heads = {name: heads for of in layer for name, heads in of.heads.items()}

    @property
    def noise(self) -> float:
        """The norm up to which a gradient of this layer is rounding noise (docs/numerics.md)."""
        sizes = [
            self._token_norms.get(name, float((dy.norm(dim=1) * x.norm(dim=1)).norm()))
            for name, (dy, x) in self._of.items()
        ]
        return NOISE * min(self._eps / torch.finfo(torch.float32).eps, 1.0) * max(sizes)

    def gradient(self, projection: str) -> Tensor:
        """Return dYᵀX (m×n)."""
        dy, x = self._of[projection]
        return dy.T @ x

    def sigma(self, projection: str, head: int | None = None) -> Tensor:
        """Return the singular values of dYᵀX, or of a head's part of it, descending: as many as
        the shorter side of its factors has.
        """
        dy, x = self._of[projection]
        if head is not None:
            x, dy = self._heads[projection].factors(head, x, dy)
        if len(x) >= min(dy.shape[1], x.shape[1]):
            return _svdvals(dy.T @ x)
        r_dy, r_x = (torch.linalg.qr(factor.T, mode="r").R for factor in (dy, x))
        return _svdvals(r_dy @ r_x.T)


def _svdvals(matrix: Tensor) -> Tensor:
    """Singular values, descending; NaN where the matrix is not finite."""
    finite = bool(matrix.isfinite().all())
    return (
        torch.linalg.svdvals(matrix) if finite else matrix.new_full((min(matrix.shape),), math.nan)
    )


def row_errors(
    row: SpectrumRow,
    sample: int,
    own: OwnFactors,
    functions: Mapping[str, OwnMetric],
) -> list[RowError]:
    """Compare a row with its definition: the singular values of its factors, by a float64 SVD.

    Args:
        row: of the engine, with all its singular values.
        sample: its unit's `index`.
        own: the factors of its layer.
        functions: the user's own metrics by name.
    """
    sigma = own.sigma(row.projection, row.head)
    expected = _metrics(sigma, own.noise, functions)
    found = {name: getattr(row, name) for name in ADDED if name not in (ROW, SPECTRUM)}
    found |= row.own_metrics
    errors = {name: relative_error(found[name], expected[name]) for name in expected}
    errors[SPECTRUM] = _spectrum_error(row.singular_values or [], sigma)
    if max(row.frobenius_norm, expected["frobenius_norm"]) <= own.noise:
        errors = dict.fromkeys(errors, 0.0)  # both are zero, and what divides by it is no number
    if not bool(sigma.isfinite().all()):  # they overflowed, and the row has to say so
        errors = dict.fromkeys(errors, math.inf if row.finite else 0.0)
    return [
        RowError(metric, row.layer, row.projection, sample, error)
        for metric, error in errors.items()
    ]


def _metrics(sigma: Tensor, noise: float, functions: Mapping[str, OwnMetric]) -> dict[str, float]:
    """Return every metric by its definition (paper section 3); ratios of noise are no numbers."""
    nuclear, largest, frobenius = (float(v) for v in (sigma.sum(), sigma[0], sigma.norm()))
    p = sigma[sigma > 0] / nuclear
    measured = frobenius > noise
    spectrum = Spectrum(sigma.numpy(), frobenius, "svd", token_norm=math.nan)
    return {
        "nuclear_norm": nuclear,
        "sigma_max": largest,
        "frobenius_norm": frobenius,
        "sigma_ratio": largest / nuclear if measured else math.nan,
        "effective_rank": float((-p * p.log()).sum().exp()) if measured else math.nan,
        "stable_rank": (frobenius / largest) ** 2 if measured else math.nan,
    } | {name: float(function(spectrum)) for name, function in functions.items()}


def _spectrum_error(ours: Sequence[float], expected: Tensor) -> float:
    if len(ours) != len(expected):
        return math.inf
    error = float((torch.tensor(ours, dtype=torch.float64) - expected).abs().max() / expected[0])
    return math.inf if math.isnan(error) else error


def relative_error(ours: float, expected: float) -> float:
    """Return |ours − expected| / |expected|; undefined on both sides is agreement."""
    if math.isnan(ours) != math.isnan(expected):
        return math.inf
    if ours == expected or math.isnan(ours):
        return 0.0
    return abs(ours - expected) / abs(expected) if expected else math.inf


def loss_distance(
    sample: int, loss: float, autograd: Gradients, truth: Gradients | None, dtype: Dtype
) -> Distance:
    """Compare the engine's loss in nats, and autograd's, both in `dtype`, with the true one."""
    roundings = LOSS_ROUNDINGS if dtype is Dtype.float32 else LOSS_ROUNDINGS_16_BITS
    eps = torch.finfo(getattr(torch, dtype.name)).eps
    noise = roundings * eps * max(1.0, abs(autograd.loss))
    if truth is None:
        return Distance(-1, LOSS, sample, abs(loss - autograd.loss), None, noise, None)
    ours, theirs = abs(loss - truth.loss), abs(autograd.loss - truth.loss)
    return Distance(-1, LOSS, sample, ours, theirs, MOST_TIMES * theirs + noise, None)


def gradient_distance(
    row: SpectrumRow, sample: int, own: OwnFactors, autograd: Gradients, truth: Gradients | None
) -> Distance:
    """Compare the engine's gradient in a layer and projection, and autograd's, with the true one.

    Args:
        row: the engine's.
        sample: its unit's `index`.
        own: the factors of its layer.
        autograd: the unit's weight gradients in the engine's precision.
        truth: the same in more bits; None where there is none, and autograd's has to do.
    """
    place = (row.layer, row.projection)
    theirs = autograd.of[place].cpu().double()
    known = theirs if truth is None else truth.of[place].cpu().double()
    scale = max(float(known.norm()), own.noise) or 1.0
    noise = NOISE_SHARE * own.noise / scale
    ours = _finite(float((own.gradient(row.projection) - known).norm()) / scale)
    cost = None if truth is None else _finite(float((theirs - known).norm()) / scale)
    allowed = WEAKER[autograd.of[place].dtype] if cost is None else MOST_TIMES * cost
    rank = len(row.singular_values or [])
    sums = [float(_svdvals(g)[:rank].sum()) for g in (known, theirs)]
    nuclear = (relative_error(row.nuclear_norm, sums[0]), relative_error(sums[1], sums[0]))
    return Distance(*place, sample, ours, cost, allowed + noise, nuclear)


def _finite(distance: float) -> float:
    return math.inf if math.isnan(distance) else distance
