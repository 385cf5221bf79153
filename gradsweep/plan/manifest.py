"""The manifest of a sweep: its points and exclusions, as they were when it was started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from gradsweep.identity import point_record
from gradsweep.plan.points import Plan
from gradsweep.store.atomic import write_json
from gradsweep.store.description import describe
from gradsweep.store.paths import SweepPaths
from gradsweep.times import timestamp
from gradsweep.versions import versions


def freeze(plan: Plan, command: Sequence[str]) -> SweepPaths:
    """Write `results/sweeps/<name>/manifest.json`; raises StoreError when that cannot be."""
    paths = SweepPaths(Path(plan.results), plan.name)
    points = [
        {
            "point_id": point.point_id,
            "label": plan.label(point),
            "axes": asdict(point.axes),
            "n_samples": point.config.most_samples,
            "description": describe(point_record(point.config)).record(),
            "overrides": point.overrides,
        }
        for point in plan.points
    ]
    manifest = {
        "name": plan.name,
        "command": list(command),
        "source": asdict(plan.source),
        "written": timestamp(),
        "versions": versions(),
        "points": points,
        "excluded": plan.excluded,
    }
    write_json(paths.manifest, manifest)
    return paths
