"""How much of a model is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from gradsweep.models.projections.layers import TextLayers, mixers, shared, text_layers
from gradsweep.models.projections.sites import ProjectionSite, n_parameters, projection_shapes
from gradsweep.records import ALL_PROJECTIONS


@dataclass(frozen=True)
class Coverage:
    """The part of a model's parameters whose gradients are measured."""

    projections: tuple[str, ...]
    layers: int
    """Number of layers with a measured projection."""
    measured: int
    """Parameters in the measured weight matrices."""
    total: int
    """Parameters of the whole model, embeddings and adapters included; tied ones count once."""
    all_layers: int
    """Number of layers of the model."""
    others: Mapping[str, int] = field(default_factory=dict)
    """What layers have in place of a measured projection, or beside it -> number of layers."""

    @property
    def share(self) -> float:
        """measured / total, from 0 to 1."""
        return self.measured / self.total

    def __str__(self) -> str:
        part = f"{_amount(self.measured)} of {_amount(self.total)} parameters"
        whole = self.layers == self.all_layers
        layers = f"{self.layers}" if whole else f"{self.layers} of {self.all_layers}"
        others = ", ".join(f"{what} in {n} layer{'s' * (n > 1)}" for what, n in self.others.items())
        return (
            f"measuring {' '.join(self.projections)} in {layers} layers: "
            f"{part} ({100 * self.share:.0f} %){'; not measured: ' * bool(others)}{others}"
        )


def coverage(
    model: nn.Module, sites: Sequence[ProjectionSite], named: Mapping[str, str] | None = None
) -> Coverage:
    """Count the parameters at `sites` against all of `model`'s.

    Biases are not measured. A weight counts the same in 4 bits.

    Args:
        model: the whole model.
        sites: what `find_projections` found in it.
        named: `model.projections`, where these were found by it.
    """
    names = {name for site in sites for name in site.columns}
    family = text_layers(model, named)
    return Coverage(
        projections=tuple(name for name in ALL_PROJECTIONS if name in names),
        layers=len({site.layer for site in sites}),
        measured=sum(m * n for site in sites for m, n in projection_shapes(site).values()),
        total=n_parameters(model),
        all_layers=len(family.layers),
        others=_others(family, names),
    )


def _others(family: TextLayers, measured: Container[str]) -> dict[str, int]:
    """Return the mixers that are not measured, and projections that layers share with others."""
    found: Counter[str] = Counter()
    for layer in family.layers:
        found.update(mixers(layer, family.adapter).values())
        if names := [name for name in shared(layer, family.adapter) if name in measured]:
            found[f"{' '.join(names)} (shared)"] += 1
    return dict(found)


def _amount(count: int) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return str(count)
