"""The metrics of one spectrum (paper section 3; effective rank from arXiv 2504.10766)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from gradsweep.config import SpectraOptions
from gradsweep.config.named_objects import make_named_object
from gradsweep.engine.factors import Factors
from gradsweep.engine.spectra.spectrum import Spectrum
from gradsweep.errors import ConfigError
from gradsweep.records import SpectrumRow

NOISE = 16 * torch.finfo(torch.float32).eps
"""Of a layer's largest `token_norm`: a gradient whose norm is no more is rounding noise, which
another CPU rounds to something else or to zero. In 16 bits, too: attention computes in float32
inside, and gradients of a hundredth of the largest are still measured well there."""

OwnMetric = Callable[[Spectrum], float]


def rank_tolerance(dtype: torch.dtype, m: int, n: int) -> float:
    """Return eps·max(m, n), relative to σ₁: NumPy's convention at the precision of the factors."""
    return torch.finfo(dtype).eps * max(m, n)


def noise_norm(spectra: Mapping[str, Spectrum], dtype: torch.dtype) -> float:
    """Return the norm up to which a gradient of this unit and layer is rounding noise.

    Attention computes the dY of q and k as differences of numbers as large as those of v and o:
    so the scale is the largest of the layer's, not a gradient's own (docs/numerics.md).
    """
    norms = [s.token_norm for s in spectra.values() if math.isfinite(s.token_norm)]
    finer = torch.finfo(dtype).eps / torch.finfo(torch.float32).eps
    return NOISE * min(finer, 1.0) * max(norms, default=0.0)


def make_own_metrics(options: SpectraOptions) -> dict[str, OwnMetric]:
    """Return the user's own metrics by name; raises ConfigError as `make_named_object`."""
    return {
        name: make_named_object(node, f"gradients.own_metrics.{name}")
        for name, node in options.own_metrics.items()
    }


class RowMaker:
    """Makes the rows of a unit's gradients, as the options say."""

    def __init__(self, options: SpectraOptions) -> None:
        self._options = options
        self._own = make_own_metrics(options)

    def layer_rows(
        self, spectra: Mapping[str, Spectrum], layer: Sequence[Factors]
    ) -> list[SpectrumRow]:
        """Return a row for each projection of a layer.

        Args:
            spectra: by projection.
            layer: the factors that they are of; only shapes and dtypes are read.
        """
        shapes = {
            name: (dy.shape[-1], factors.x.shape[-1])
            for factors in layer
            for name, dy in factors.dy.items()
        }
        return self.rows(layer[0].layer, spectra, shapes, layer[0].x.dtype)

    def head_rows(
        self, spectra: Mapping[str, Spectrum], layer: Sequence[Factors]
    ) -> Iterator[SpectrumRow]:
        """Yield a row for each attention head of each projection of a layer.

        What is noise is so by the layer's whole matrices: a head has a part of each.

        Args:
            spectra: by projection, with those of their heads.
            layer: the factors that they are of; only shapes and dtypes are read.
        """
        dtype = layer[0].x.dtype
        noise = noise_norm(spectra, dtype)
        for of_input in layer:
            for name, heads in of_input.heads.items():
                shape = heads.shape(of_input.dy[name].shape[-1], of_input.x.shape[-1])
                for place, spectrum in enumerate(spectra[name].heads):
                    row = self._row(of_input.layer, name, spectrum, shape, dtype, noise)
                    yield replace(row, head=place)

    def rows(
        self,
        layer: int,
        spectra: Mapping[str, Spectrum],
        shapes: Mapping[str, tuple[int, int]],
        dtype: torch.dtype,
    ) -> list[SpectrumRow]:
        """Return a row for each projection of a layer, in the order of `shapes`.

        Args:
            layer: from 0.
            spectra: by projection.
            shapes: (m, n) of each gradient.
            dtype: of what the gradients were computed from.
        """
        noise = noise_norm(spectra, dtype)
        return [
            self._row(layer, name, spectra[name], shape, dtype, noise)
            for name, shape in shapes.items()
        ]

    def _row(
        self,
        layer: int,
        name: str,
        spectrum: Spectrum,
        shape: tuple[int, int],
        dtype: torch.dtype,
        noise: float,
    ) -> SpectrumRow:
        tolerance = self._options.rank_tolerance or rank_tolerance(dtype, *shape)
        own = {metric: _value(function, spectrum, metric) for metric, function in self._own.items()}
        return spectrum_row(spectrum, layer, name, tolerance, self._options.kept, noise, own)


def spectrum_row(
    spectrum: Spectrum,
    layer: int,
    projection: str,
    tolerance: float,
    kept: int | None = 0,
    noise: float = 0.0,
    own_metrics: Mapping[str, float] | None = None,
) -> SpectrumRow:
    """Return all metrics of one gradient.

    Args:
        spectrum: of the gradient.
        layer: from 0.
        projection: its name.
        tolerance: relative to σ₁, for rank and condition number.
        kept: how many of the largest singular values stay in the row; None for all.
        noise: the norm up to which the gradient counts as zero: its norms are stored as they are,
            its rank is 0, and what divides by Σσ or σ₁ is NaN.
        own_metrics: values of the user's own metrics.
    """
    sigma = spectrum.sigma
    nuclear, largest = spectrum.nuclear_norm, float(sigma[0])
    measured = spectrum.frobenius_norm > noise and math.isfinite(nuclear) and largest**2 > 0
    rank = int(np.count_nonzero(sigma > tolerance * largest)) if measured else 0
    entropy = spectrum.entropy if measured else math.nan
    return SpectrumRow(
        layer=layer,
        projection=projection,
        nuclear_norm=nuclear,
        sigma_max=largest,
        sigma_ratio=largest / nuclear if measured else math.nan,
        frobenius_norm=spectrum.frobenius_norm,
        effective_rank=math.exp(entropy),
        stable_rank=spectrum.frobenius_norm**2 / largest**2 if measured else math.nan,
        spectral_entropy=entropy,
        condition_number=largest / float(sigma[rank - 1]) if rank else math.nan,
        rank=rank,
        checksum_error=spectrum.checksum_error,
        finite=spectrum.holds and math.isfinite(nuclear),
        solver=spectrum.solver,
        singular_values=None if kept == 0 else sigma[:kept].tolist(),
        own_metrics=own_metrics or {},
    )


def _value(function: OwnMetric, spectrum: Spectrum, name: str) -> float:
    value = function(spectrum)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"gradients.own_metrics.{name} returned a {type(value).__name__}; allowed is a float"
        ) from error
