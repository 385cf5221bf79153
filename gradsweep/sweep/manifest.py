"""The manifest of a sweep: its points and exclusions, as they were when it was started."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gradsweep.errors import DataError
from gradsweep.store.atomic import write_json
from gradsweep.store.paths import SweepPaths
from gradsweep.sweep.plan import Plan
from gradsweep.versions import versions


def freeze(plan: Plan, command: Sequence[str]) -> SweepPaths:
    """Write `results/sweeps/<name>/manifest.json`; raises StoreError when that cannot be."""
    paths = SweepPaths(Path(plan.results), plan.name)
    points = [
        {
            "point_id": point.point_id,
            "label": plan.label(point),
            "axes": asdict(point.axes),
            "n_samples": point.config.requested_samples,
            "overrides": point.overrides,
        }
        for point in plan.points
    ]
    manifest = {
        "name": plan.name,
        "command": list(command),
        "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": versions(),
        "points": points,
        "excluded": plan.excluded,
    }
    write_json(paths.manifest, manifest)
    return paths


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
