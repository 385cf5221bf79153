"""Every point that is known of: planned in a manifest, frozen in a submission, or started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gradsweep.config import CorrectnessKind, cot_reading_key
from gradsweep.config.composition import BUILT_IN, ConfigSource
from gradsweep.errors import DataError
from gradsweep.jobs.frozen import read_frozen
from gradsweep.jobs.queue import Known
from gradsweep.store import PointPaths, SweepPaths, point_folders
from gradsweep.store.read import read_config, read_manifest
from gradsweep.store.variants import model_label, variant_names


@dataclass(frozen=True)
class KnownPoint:
    """A point, started or not."""

    paths: PointPaths
    axes: dict[str, str]
    """Its value on every axis."""
    n_samples: int | None
    """Asked for; the data may have fewer. None when neither manifest nor config says."""
    sweep: str | None
    """The last sweep that has planned it; None of a single run."""
    overrides: tuple[str, ...] = ()
    """Overrides that its sweep's command line gave it."""
    source: ConfigSource = BUILT_IN
    """Where its sweep's command composed it from."""
    frozen: Path | None = None
    """Its config as the last submission has frozen it."""
    variant: str = ""
    """What tells it apart from points with the same axes (`seed=1`)."""

    @property
    def labels(self) -> dict[str, str]:
        """Its axes as tables show them: the model with the variant (`qwen2_1.5b seed=1`)."""
        return self.axes | {"model": model_label(self.axes["model"], self.variant)}

    @property
    def point_id(self) -> str:
        return self.paths.point_id


def known_points(results: Path, sweep: str | None, known: Known) -> list[KnownPoint]:
    """The points of a results folder, or of one sweep of it, in reading order.

    Raises:
        DataError: nothing was ever planned or started in `results`, or there is no such sweep.
    """
    frozen = _frozen(known)
    planned = _planned(results, frozen)
    if sweep is not None:
        manifest = read_manifest(SweepPaths(results, sweep))
        ids = [point["point_id"] for point in manifest["points"]]
    else:
        started = [paths.point_id for paths in point_folders(results)]
        ids = list(dict.fromkeys([*planned, *frozen, *started]))
    if not ids:
        raise DataError(
            f"no points in {results}: pass the folder that store.root named, or a sweep"
        )
    points = [planned.get(name) or _started(results, name, frozen.get(name)) for name in ids]
    return sorted(_named(points), key=lambda point: _reading_key(point.labels))


def _frozen(known: Known) -> dict[str, Path]:
    """Return point_id -> the frozen config of its last submission."""
    return {
        point_id: paths.frozen(point_id)
        for paths, submission in known
        for array in submission.arrays
        for task in array.tasks
        for point_id in task.point_ids
    }


def _planned(results: Path, frozen: Mapping[str, Path]) -> dict[str, KnownPoint]:
    """Read the points of all manifests, without a look at the points themselves."""
    paths = [
        SweepPaths(results, path.parent.name)
        for path in (results / "sweeps").glob("*/manifest.json")
    ]
    manifests = sorted(
        map(read_manifest, paths), key=lambda manifest: str(manifest.get("written", ""))
    )
    points = {}
    for manifest in manifests:
        for point in manifest["points"]:
            name = point["point_id"]
            points[name] = KnownPoint(
                PointPaths(results, name),
                dict(point["axes"]),
                point.get("n_samples"),
                manifest["name"],
                tuple(point["overrides"]),
                ConfigSource(**manifest.get("source", {})),
                frozen.get(name),
            )
    return points


def _started(results: Path, point_id: str, frozen: Path | None) -> KnownPoint:
    """Describe a point of no manifest from its own config."""
    paths = PointPaths(results, point_id)
    record = _record(paths, frozen)
    samples = record.get("science", {}).get("n_samples")
    sweep = record.get("config", {}).get("sweep")
    return KnownPoint(paths, dict(record.get("axes", {})), samples, sweep, frozen=frozen)


def _record(paths: PointPaths, frozen: Path | None) -> dict[str, Any]:
    """The content of config.yaml, before or after it was started; empty when only planned."""
    if frozen is not None and frozen.exists():
        return read_frozen(frozen)
    return read_config(paths) if paths.config.exists() else {}


def _named(points: Sequence[KnownPoint]) -> Iterator[KnownPoint]:
    """Name points that share all four axes as reports name them."""
    groups: dict[tuple[str, ...], list[KnownPoint]] = {}
    for point in points:
        groups.setdefault(tuple(point.axes.values()), []).append(point)
    for same in groups.values():
        yield from same if len(same) == 1 else _told_apart(same)


def _told_apart(points: Sequence[KnownPoint]) -> Iterator[KnownPoint]:
    science = {}
    for point in points:
        record = _record(point.paths, point.frozen)
        # One that was only planned has no config yet: what the command line said of it.
        science[point.point_id] = record.get("science") or dict(
            text.split("=", 1) for text in point.overrides if "=" in text
        )
    variants = variant_names({point.point_id: point.axes for point in points}, science)
    for point in points:
        yield replace(point, variant=variants[point.point_id])


def _reading_key(axes: Mapping[str, str]) -> tuple[object, ...]:
    kinds = [kind.name for kind in CorrectnessKind]
    correctness = axes["correctness"]
    rank = kinds.index(correctness) if correctness in kinds else len(kinds)
    return (axes["model"], axes["dataset"], cot_reading_key(axes["cot"]), rank, correctness)
