"""Which modules of a causal LM compute which projections: named by family, never guessed.

    model_type ──ADAPTERS──► Adapter ──find_projections──► ProjectionSite ──coverage──► Coverage

A projection is one weight matrix of a layer: q k v o of the attention, and gate up down
(gated MLPs) or fc1 fc2 (plain ones). A fused module computes several of them; a site then
says which of its output columns belong to each.

What planning needs (`adapters`, `wrappers`, `refusals`) is read without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradsweep.models.projections.adapters import ADAPTERS, Adapter
from gradsweep.models.projections.refusals import check_family
from gradsweep.models.projections.wrappers import WRAPPERS

if TYPE_CHECKING:
    from gradsweep.models.projections.covered import Coverage, coverage
    from gradsweep.models.projections.find import available_projections, find_projections
    from gradsweep.models.projections.heads import parents_of, with_heads
    from gradsweep.models.projections.sites import (
        Columns,
        Heads,
        ProjectionSite,
        n_parameters,
        projection_shapes,
    )

__all__ = [
    "ADAPTERS",
    "WRAPPERS",
    "Adapter",
    "Columns",
    "Coverage",
    "Heads",
    "ProjectionSite",
    "available_projections",
    "check_family",
    "coverage",
    "find_projections",
    "n_parameters",
    "parents_of",
    "projection_shapes",
    "with_heads",
]

_WITH_TORCH = {
    "covered": ("Coverage", "coverage"),
    "find": ("available_projections", "find_projections"),
    "heads": ("parents_of", "with_heads"),
    "sites": ("Columns", "Heads", "ProjectionSite", "n_parameters", "projection_shapes"),
}
"""Module -> its names, imported when one of them is asked for."""


def __getattr__(name: str) -> Any:
    for module, names in _WITH_TORCH.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
