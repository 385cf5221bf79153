"""Reading results: what the analysis, the reports and notebooks start from."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import yaml

from gradsweep.errors import ConfigError, DataError
from gradsweep.records import POINT_LABELS
from gradsweep.store.checksums import how_to_heal, read_finished, require_whole
from gradsweep.store.frames import (
    ROW_SCHEMA,
    SAMPLE_SCHEMA,
    own_metric_columns,
    require_known_keys,
)
from gradsweep.store.paths import PointPaths, SweepPaths, point_folders
from gradsweep.store.point import read_parts
from gradsweep.store.variants import variant_names

if TYPE_CHECKING:
    from gradsweep.config import Config

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Libyaml's, seven times as fast, wherever PyYAML was built with it."""


def load_rows(results: str | Path, point_ids: Collection[str] | None = None) -> pl.DataFrame:
    """Read one line per (point, sample, layer, projection, head).

    Points that still run or were stopped give what they have stored so far.

    Columns: point_id; the axes; variant, what tells points that share all four axes apart
    (`seed=1`; empty where nothing has to); those of `SpectrumRow`, where null means that the
    file is from before the column was there; the user's own metrics, null in points that do
    not have them.

    Args:
        results: the results folder (`store.root`).
        point_ids: only these points; all of them when None.

    Raises:
        DataError: there is no such folder, it holds no results, or rows differ in a column that
            this version does not know.
    """
    return _load(Path(results), point_ids, "rows")


def load_samples_table(
    results: str | Path, point_ids: Collection[str] | None = None
) -> pl.DataFrame:
    """Read one line per (point, sample): status, reason, loss, token counts.

    Columns: point_id, axes and variant as in `load_rows`, then those of `SampleResult`. Raises as
    `load_rows`.
    """
    return _load(Path(results), point_ids, "samples")


def stored_metrics(results: Path, point_ids: Collection[str]) -> set[str]:
    """Name the metrics of the user's own that these points store; reads headers, no rows."""
    points = [PointPaths(results, point_id) for point_id in point_ids]
    for paths in points:
        if paths.done.exists():
            require_whole(paths, paths.rows)
    schemas = [pl.read_parquet_schema(path) for paths in points for path in _row_files(paths)[:1]]
    return {name for schema in schemas for name in own_metric_columns(pl.DataFrame(schema=schema))}


def _row_files(paths: PointPaths) -> list[Path]:
    return [paths.rows] if paths.done.exists() else sorted(paths.parts.glob("rows-*.parquet"))


def read_config(paths: PointPaths) -> dict[str, Any]:
    """Read the point's config.yaml: the record of what was run.

    Raises:
        DataError: it is damaged; names it and the command that heals it.
    """
    try:
        return read_yaml(paths.config)
    except DataError as error:
        raise DataError(f"{error}. {how_to_heal(paths)}") from error


def stored_config(record: Mapping[str, Any]) -> Config:
    """Restore the config of a stored point, to be run again.

    Args:
        record: the content of its config.yaml.

    Raises:
        ConfigError: it was written by a version whose fields are others, or a check of the
            config fails.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from gradsweep.config import Config
    from gradsweep.config.composition import to_config

    try:
        merged = OmegaConf.merge(OmegaConf.structured(Config), record["config"])
        return to_config(merged)  # type: ignore[arg-type]
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"config.yaml of {record['point_id']} is of another version: {reason}"
        ) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file with one mapping, as the store writes them.

    Raises:
        DataError: it is none any more.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _LOADER)
    except (yaml.YAMLError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged: cut short, or edited")
    return content


def read_manifest(paths: SweepPaths) -> dict[str, Any]:
    """Read the manifest of a sweep, which `gradsweep.plan` writes when the sweep starts.

    Raises:
        DataError: there is no such sweep (names those there are), or its manifest is damaged.
    """
    if not paths.manifest.exists():
        there = sorted(p.parent.name for p in paths.manifest.parent.parent.glob("*/manifest.json"))
        raise DataError(
            f"no sweep {paths.name!r} in {paths.results}; there are: {', '.join(there) or 'none'}"
        )
    try:
        manifest = json.loads(paths.manifest.read_text(encoding="utf-8"))
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict):
        raise DataError(
            f"{paths.manifest} is damaged: rm {shlex.quote(str(paths.manifest))}, and the sweep's "
            "command writes it again; its points stay"
        )
    return manifest


def _load(results: Path, point_ids: Collection[str] | None, kind: str) -> pl.DataFrame:
    points = [
        paths
        for paths in point_folders(results)
        if point_ids is None or paths.point_id in point_ids
    ]
    if not points:
        raise no_results(results)
    records = {paths.point_id: read_config(paths) for paths in points}
    axes = {point_id: record["axes"] for point_id, record in records.items()}
    science = {point_id: record["science"] for point_id, record in records.items()}
    variants = variant_names(axes, science)
    frames = [
        _point_frame(paths, axes[paths.point_id] | {"variant": variants[paths.point_id]}, kind)
        for paths in points
    ]
    # Points have other metrics of the user's own: null where a point lacks one.
    return pl.concat(frames, how="diagonal")


def no_results(results: Path) -> DataError:
    """Say that nothing is stored there, and what to do."""
    return DataError(f"no results in {results}: run gradsweep first, or pass the right folder")


def _point_frame(paths: PointPaths, labels: Mapping[str, str], kind: str) -> pl.DataFrame:
    schema = ROW_SCHEMA if kind == "rows" else SAMPLE_SCHEMA
    finished = paths.done.exists()
    frame = read_finished(paths, getattr(paths, kind)) if finished else read_parts(paths, kind)
    named = [pl.lit(paths.point_id).alias("point_id")]
    named += [pl.lit(labels[name]).alias(name) for name in POINT_LABELS]
    # A file from before a column was there has none: it reads as null.
    frame = pl.concat([pl.DataFrame(schema=schema), frame], how="diagonal")
    own = []
    if kind == "rows":
        require_known_keys(frame)
        own = own_metric_columns(frame)
    return frame.select(*named, *schema, *own)
