"""Reading results: what the analysis, the reports and notebooks start from."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from gradsweep.errors import DataError
from gradsweep.records import AXES
from gradsweep.store.frames import ROW_SCHEMA, SAMPLE_SCHEMA
from gradsweep.store.paths import PointPaths, point_folders
from gradsweep.store.point import read_parts
from gradsweep.store.variants import with_variants

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Libyaml's, seven times as fast, wherever PyYAML was built with it."""


def load_rows(results: str | Path, point_ids: Collection[str] | None = None) -> pl.DataFrame:
    """One line per (point, sample, layer, projection), with the point's axes as columns.

    Points that still run or were stopped give what they have stored so far. Where points
    share all four axes, `model` also says what tells them apart ("qwen2_1.5b seed=1").

    Args:
        results: the results folder (`store.root`).
        point_ids: only these points; all of them when None.

    Raises:
        DataError: there is no such folder, or it holds no results.
    """
    return _load(Path(results), point_ids, "rows")


def load_samples_table(
    results: str | Path, point_ids: Collection[str] | None = None
) -> pl.DataFrame:
    """One line per (point, sample): status, reason, loss, token counts; raises as `load_rows`."""
    return _load(Path(results), point_ids, "samples")


def read_config(paths: PointPaths) -> dict[str, Any]:
    """The point's config.yaml."""
    return read_yaml(paths.config)


def read_yaml(path: Path) -> dict[str, Any]:
    """A file with one mapping, as the store writes them."""
    config = yaml.load(path.read_text(encoding="utf-8"), _LOADER)
    assert isinstance(config, dict)
    return config


def _load(results: Path, point_ids: Collection[str] | None, kind: str) -> pl.DataFrame:
    wanted = [
        paths
        for paths in point_folders(results)
        if point_ids is None or paths.point_id in point_ids
    ]
    if not wanted:
        raise DataError(f"no results in {results}: run gradsweep first, or pass the right folder")
    configs = {paths.point_id: read_config(paths) for paths in wanted}
    frames = [_point_frame(paths, configs[paths.point_id]["axes"], kind) for paths in wanted]
    science = {point_id: config["science"] for point_id, config in configs.items()}
    return with_variants(pl.concat(frames), science)


def _point_frame(paths: PointPaths, axes: dict[str, str], kind: str) -> pl.DataFrame:
    schema = ROW_SCHEMA if kind == "rows" else SAMPLE_SCHEMA
    finished = paths.done.exists()
    frame = pl.read_parquet(getattr(paths, kind)) if finished else read_parts(paths, kind)
    labels = [pl.lit(paths.point_id).alias("point_id")]
    labels += [pl.lit(axes[name]).alias(name) for name in AXES]
    # A file from before a column was there has none: it reads as null.
    frame = pl.concat([pl.DataFrame(schema=schema), frame], how="diagonal")
    return frame.select(*labels, *schema)
