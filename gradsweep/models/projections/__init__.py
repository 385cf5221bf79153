"""Which modules of a causal LM compute which projections: named by family, never guessed.

    model_type ──ADAPTERS──► Adapter ──find_projections──► ProjectionSite ──coverage──► Coverage

A projection is one weight matrix of a layer: q k v o of the attention, and gate up down
(gated MLPs) or fc1 fc2 (plain ones). A fused module computes several of them; a site then
says which of its output columns belong to each.
"""

from gradsweep.models.projections.adapters import ADAPTERS, WRAPPERS, Adapter
from gradsweep.models.projections.coverage import Coverage, coverage
from gradsweep.models.projections.find import available_projections, find_projections
from gradsweep.models.projections.sites import (
    Columns,
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
    "ProjectionSite",
    "available_projections",
    "coverage",
    "find_projections",
    "n_parameters",
    "projection_shapes",
]
