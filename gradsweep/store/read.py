"""Reading results: what the analysis, the reports and notebooks start from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from gradsweep.errors import DataError
from gradsweep.records import AXES
from gradsweep.store.frames import ROW_SCHEMA, SAMPLE_SCHEMA
from gradsweep.store.paths import PointPaths, point_folders
from gradsweep.store.point import read_parts


def load_rows(results: str | Path, point_ids: Collection[str] | None = None) -> pl.DataFrame:
    """One line per (point, sample, layer, projection), with the point's axes as columns.

    Points that still run or were stopped give what they have stored so far.

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
    """One line per (point, sample): status, reason, loss and token counts; raises as `load_rows`."""
    return _load(Path(results), point_ids, "samples")


def read_config(paths: PointPaths) -> dict[str, Any]:
    """The point's config.yaml."""
    config = yaml.safe_load(paths.config.read_text(encoding="utf-8"))
    assert isinstance(config, dict)
    return config


def _load(results: Path, point_ids: Collection[str] | None, kind: str) -> pl.DataFrame:
    frames = list(_point_frames(results, point_ids, kind))
    if not frames:
        raise DataError(f"no results in {results}: run gradsweep first, or pass the right folder")
    return pl.concat(frames)


def _point_frames(
    results: Path, point_ids: Collection[str] | None, kind: str
) -> Iterator[pl.DataFrame]:
    schema = ROW_SCHEMA if kind == "rows" else SAMPLE_SCHEMA
    for paths in point_folders(results):
        if point_ids is not None and paths.point_id not in point_ids:
            continue
        axes = read_config(paths)["axes"]
        frame = pl.read_parquet(getattr(paths, kind)) if _joined(paths) else read_parts(paths, kind)
        labels = [pl.lit(paths.point_id).alias("point_id")]
        labels += [pl.lit(axes[name]).alias(name) for name in AXES]
        yield frame.select(*labels, *schema)


def _joined(paths: PointPaths) -> bool:
    return paths.done.exists()
