"""Measured numbers against their definition: autograd in float64, and a float64 SVD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gradsweep.config import Config, Dtype
from gradsweep.data import load_samples
from gradsweep.doctor.comparison import Agreement, Comparison, Start
from gradsweep.errors import DataError, ModelError
from gradsweep.models.load import load_model
from gradsweep.models.projections import ProjectionSite, find_projections
from gradsweep.models.quantization import is_four_bit, to_float32


@dataclass(frozen=True)
class Verification:
    """What was compared; `holds` is the verdict."""

    agreements: tuple[Agreement, ...]
    """In the model's own precision; of a model in 16 bits also in float32, where memory allows."""
    layers: tuple[int, ...]
    """Those of which every gradient was compared."""
    n_layers: int
    """Those that have a measured projection."""
    skipped: tuple[str, ...]
    """Why samples could not be compared, one sentence each."""

    @property
    def holds(self) -> bool:
        return all(agreement.holds for agreement in self.agreements)

    @property
    def n_samples(self) -> int:
        return len({sample for agreement in self.agreements for sample in agreement.samples})


def verify(config: Config, start: Start, every_layer: bool = False) -> Verification:
    """Measure the point's samples as a run would, and again from the definition.

    A model in 16 bits is compared in its own precision, and in float32 as well, to which its
    weights are converted exactly; a 4-bit one is compared with the dense model of its weights.

    Args:
        config: the point; its `n_samples` says how many are compared. Nothing is stored.
        start: shows how far it is.
        every_layer: compare every layer, not some of them over the depth of the model.

    Raises:
        ConfigError, ModelError: input that cannot be run; names the field.
        DataError: the data cannot be read, or not one sample can be compared.
    """
    samples = load_samples(config).samples
    loaded = load_model(config.model, config.gradients.device)
    named = config.model.named_projections
    sites = find_projections(loaded.model, config.gradients.projections, named)
    _check_differentiable(sites)
    all_layers = {site.layer for site in sites}
    layers = all_layers if every_layer else spread_layers(sites)
    comparison = Comparison(config, loaded, samples, layers)
    agreements = [comparison.agreement(config.model.dtype, start)]
    if config.model.dtype is not Dtype.float32 and not comparison.shortage(torch.float32):
        to_float32(loaded.model)
        agreements.append(comparison.agreement(Dtype.float32, start))
    if not any(agreement.samples for agreement in agreements):
        raise DataError(
            f"none of the {len(samples)} samples can be compared; the first: "
            f"{comparison.skipped[min(comparison.skipped)]}"
        )
    return Verification(
        tuple(agreements),
        tuple(sorted(layers)),
        len(all_layers),
        tuple(f"sample {i} left out: {why}" for i, why in sorted(comparison.skipped.items())),
    )


def spread_layers(sites: Sequence[ProjectionSite]) -> set[int]:
    """Return the first, the middle and the last layer of each projection."""
    of_projection: dict[str, set[int]] = {}
    for site in sites:
        for name in site.columns:
            of_projection.setdefault(name, set()).add(site.layer)
    in_order = [sorted(layers) for layers in of_projection.values()]
    return {layers[i] for layers in in_order for i in (0, len(layers) // 2, -1)}


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
