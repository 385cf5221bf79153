"""Every path below a results folder.

results/points/<point_id>/   config.yaml  MODEL_COMMIT  parts/  rows.parquet  samples.parquet
                             summary.json  RUNNING[-iofk]  FAILED[-iofk].json  DONE
                             reduced.zip (for reports; can be deleted whenever)
                             steps.parquet  checkpoints/ (of training points)
results/sweeps/<name>/       manifest.json
results/reports/<name>/      findings.md  tables/  figures/
results/cache/               what was read or computed before; can be deleted whenever
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gradsweep.records import WHOLE, Shard
from gradsweep.store.atomic import REPORTS


@dataclass(frozen=True)
class PointPaths:
    """Files of one point."""

    results: Path
    point_id: str

    @cached_property
    def folder(self) -> Path:
        return self.results / "points" / self.point_id

    @property
    def config(self) -> Path:
        """The resolved config that was run, with versions: enough to run it again."""
        return self.folder / "config.yaml"

    @property
    def model_commit(self) -> Path:
        """The commit of a hub model that every sample of the point is measured with."""
        return self.folder / "MODEL_COMMIT"

    @property
    def reference(self) -> Path:
        """Log-probabilities of the responses under the objective's reference model."""
        return self.folder / "reference.parquet"

    @property
    def parts(self) -> Path:
        """What has been measured so far; gone once the point is DONE."""
        return self.folder / "parts"

    def part(self, kind: str, number: int, writer: str) -> Path:
        """Name a part; `writer` tells apart processes that measure shares of the same point."""
        return self.parts / f"{kind}-{number:06d}-{writer}.parquet"

    @property
    def rows(self) -> Path:
        return self.folder / "rows.parquet"

    @property
    def samples(self) -> Path:
        return self.folder / "samples.parquet"

    @property
    def steps(self) -> Path:
        """Optimizer steps of a training point, a line each."""
        return self.folder / "steps.parquet"

    @property
    def checkpoints(self) -> Path:
        """Places where a training point that is not DONE goes on after a kill."""
        return self.folder / "checkpoints"

    @property
    def summary(self) -> Path:
        return self.folder / "summary.json"

    @property
    def reduced(self) -> Path:
        """What reports read of the point alone, made from its rows and samples."""
        return self.folder / "reduced.zip"

    @property
    def running(self) -> Path:
        """The lease of the process that writes the whole point."""
        return self.lease(WHOLE)

    def lease(self, shard: Shard) -> Path:
        """RUNNING, or RUNNING-2of4 of a process that measures a share."""
        return self.folder / f"RUNNING{shard.suffix}"

    def leases(self) -> list[Path]:
        return sorted(self.folder.glob("RUNNING*"))

    @property
    def failed(self) -> Path:
        return self.failure(WHOLE)

    def failure(self, shard: Shard) -> Path:
        """FAILED.json, or FAILED-2of4.json of a process that measured a share."""
        return self.folder / f"FAILED{shard.suffix}.json"

    def failures(self) -> list[Path]:
        return sorted(self.folder.glob("FAILED*.json"))

    @property
    def done(self) -> Path:
        """Written last: its presence means that everything else is complete."""
        return self.folder / "DONE"


@dataclass(frozen=True)
class SweepPaths:
    """Files of one sweep."""

    results: Path
    name: str

    @property
    def manifest(self) -> Path:
        return self.results / "sweeps" / self.name / "manifest.json"

    @property
    def report(self) -> Path:
        return self.results / REPORTS / self.name


def cache_folder(results: Path) -> Path:
    """Say where commands keep what is quicker read than made again; nobody's truth."""
    return results / "cache"


def point_folders(results: Path) -> list[PointPaths]:
    """List every point that has ever been started below `results`, by id."""
    folder = results / "points"
    # Names, and not paths: of hundreds of points that takes a hundredth of the time.
    names = os.listdir(folder) if folder.is_dir() else []
    return started(results, names)


def started(results: Path, point_ids: Iterable[str]) -> list[PointPaths]:
    """List those of some points that have been started, by id.

    One that has results and has lost its config.yaml is among them: who reads it is told.
    """
    folder = results / "points"
    points = (PointPaths(results, name) for name in sorted(set(point_ids)))
    return [
        paths
        for paths in points
        if os.path.exists(f"{folder}/{paths.point_id}/config.yaml") or has_results(paths)
    ]


def has_results(paths: PointPaths) -> bool:
    """Whether a point is done, or has stored some of its samples."""
    return paths.done.exists() or any(paths.parts.glob("samples-*.parquet"))
