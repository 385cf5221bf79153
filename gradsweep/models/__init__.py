"""From a model source to a frozen model, encoded samples and named projections.

Nothing here imports torch until a model is loaded: planning needs `resolve` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsweep.models.source import ResolvedSource, resolve

if TYPE_CHECKING:
    from gradsweep.models.load import LoadedModel, load_model

__all__ = ["LoadedModel", "ResolvedSource", "load_model", "resolve"]


def __getattr__(name: str) -> Any:
    if name in ("LoadedModel", "load_model"):
        from gradsweep.models import load

        return getattr(load, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
