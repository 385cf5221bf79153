"""What a report says of single attention heads, where they were measured: tables and maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gradsweep.analysis.heads import head_overlaps, head_sensitivity, shares_by_part
from gradsweep.analysis.rows import single_heads
from gradsweep.report.figures.files import Drawing
from gradsweep.report.figures.head_map import draw_head_map
from gradsweep.store.atomic import write_text
from gradsweep.store.frames import metric_columns
from gradsweep.store.series import with_model_labels

_FIGURE = ("model", "dataset", "cot")


@dataclass(frozen=True)
class HeadStudy:
    """How the heads of all points respond to irrelevant responses, by one metric."""

    metric: str
    found: pl.DataFrame
    """Of `head_sensitivity`."""
    overlaps: pl.DataFrame
    """Of `head_overlaps`."""
    parts: pl.DataFrame
    """Of `shares_by_part`."""


def head_study(rows: pl.DataFrame, metric: str) -> HeadStudy | None:
    """Test every head of every pair of correct and irrelevant points.

    Args:
        rows: as `load_rows` gives them.
        metric: one that rows of heads have.

    Returns:
        None without rows of heads, without such a pair, or for a metric that heads do not have.
    """
    if metric not in metric_columns(rows) or single_heads(rows).is_empty():
        return None
    found = head_sensitivity(rows, metric)
    if not found["cohen_dz"].is_finite().any():
        return None
    return HeadStudy(metric, found, head_overlaps(found), shares_by_part(found))


def save_head_tables(study: HeadStudy, folder: Path) -> list[Path]:
    """Write `heads.csv`, `heads__overlaps.csv` and `heads__parts.csv`, and give their paths.

    Raises:
        StoreError: a file cannot be written.
    """
    frames = {"heads": study.found, "heads__overlaps": study.overlaps, "heads__parts": study.parts}
    written = []
    for name, frame in frames.items():
        path = folder / f"{name}.csv"
        write_text(path, frame.fill_nan(None).write_csv())
        written.append(path)
    return written


def head_drawings(study: HeadStudy) -> list[Drawing]:
    """List a map for every model, dataset and level: model__dataset__level__heads__metric."""
    labelled = with_model_labels(study.found)
    return [
        Drawing((*map(str, names), "heads", study.metric), draw_head_map, of_names, study.metric)
        for names, of_names in labelled.group_by(_FIGURE, maintain_order=True)
    ]
