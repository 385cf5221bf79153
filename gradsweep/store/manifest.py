"""Reading the manifest of a sweep, which `gradsweep.plan` writes when the sweep starts."""

from __future__ import annotations

import json
from typing import Any

from gradsweep.errors import DataError
from gradsweep.store.paths import SweepPaths


def read_manifest(paths: SweepPaths) -> dict[str, Any]:
    """Raises DataError, naming the sweeps there are, when this one is not among them."""
    if not paths.manifest.exists():
        there = sorted(p.parent.name for p in paths.manifest.parent.parent.glob("*/manifest.json"))
        raise DataError(
            f"no sweep {paths.name!r} in {paths.results}; there are: {', '.join(there) or 'none'}"
        )
    manifest = json.loads(paths.manifest.read_text(encoding="utf-8"))
    assert isinstance(manifest, dict)
    return manifest
