"""How much of a model is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from gradsweep.models.projections.sites import ProjectionSite, n_parameters, weight_shape
from gradsweep.records import ALL_PROJECTIONS


@dataclass(frozen=True)
class Coverage:
    """The part of a model's parameters whose gradients are measured."""

    projections: tuple[str, ...]
    layers: int
    """Number of layers with a measured projection."""
    measured: int
    """Parameters in the measured weight matrices; a tied matrix counts once."""
    total: int
    """Parameters of the whole model, embeddings and adapters included; tied ones count once."""

    @property
    def share(self) -> float:
        """measured / total, from 0 to 1."""
        return self.measured / self.total

    def __str__(self) -> str:
        part = f"{_amount(self.measured)} of {_amount(self.total)} parameters"
        return (
            f"measuring {' '.join(self.projections)} in {self.layers} layers: "
            f"{part} ({100 * self.share:.0f} %)"
        )


def coverage(model: nn.Module, sites: Sequence[ProjectionSite]) -> Coverage:
    """Count the parameters at `sites` against all of `model`'s.

    Biases are not measured. A weight counts the same in 4 bits.
    """
    names = {name for site in sites for name in site.columns}
    return Coverage(
        projections=tuple(name for name in ALL_PROJECTIONS if name in names),
        layers=len({site.layer for site in sites}),
        measured=_measured(sites),
        total=n_parameters(model),
    )


def _measured(sites: Sequence[ProjectionSite]) -> int:
    """Count the rows of each distinct weight that projections cover, times its input width."""
    rows: dict[int, torch.Tensor] = {}
    inputs: dict[int, int] = {}
    for site in sites:
        outputs, inputs[id(site.module.weight)] = weight_shape(site.module)
        covered = rows.setdefault(id(site.module.weight), torch.zeros(outputs, dtype=torch.bool))
        for columns in site.columns.values():
            covered[slice(None) if columns is None else columns] = True
    return sum(int(covered.sum()) * inputs[key] for key, covered in rows.items())


def _amount(count: int) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return str(count)
