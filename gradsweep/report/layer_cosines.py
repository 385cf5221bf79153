"""What a report says of cosines between all layers, where they were measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from gradsweep.analysis.layer_cosines import (
    COLUMN,
    DISTANCES,
    cosines_by_distance,
)
from gradsweep.report.figures.files import Drawing
from gradsweep.report.figures.layer_map import draw_layer_map
from gradsweep.report.formats import ColumnGroup, TableFile
from gradsweep.report.interval_table import interval_table
from gradsweep.store.atomic import write_text
from gradsweep.store.series import with_model_labels

TITLE = "Cosines between layers"
_WHAT = """\
The mean over samples of the cosine between a projection's gradients in two layers, averaged over
pairs of layers that lie so far apart, and the mean of largest size. One direction in all layers
would be 1, directions that have nothing to do with each other 0. `tables/layer_cosines.csv` has
every pair, the maps show them."""


def save_layer_cosines(found: pl.DataFrame, folder: Path) -> list[Path]:
    """Write `layer_cosines.csv`, and give its path.

    Raises:
        StoreError: the file cannot be written.
    """
    path = folder / f"{COLUMN}.csv"
    write_text(path, found.fill_nan(None).write_csv())
    return [path]


def layer_cosine_drawings(found: pl.DataFrame) -> list[Drawing]:
    """List a map for every model and dataset: model__dataset__layer_cosines."""
    groups = with_model_labels(found).group_by("model", "dataset", maintain_order=True)
    return [
        Drawing((*map(str, names), COLUMN), draw_layer_map, of_names, COLUMN)
        for names, of_names in groups
    ]


def layer_cosines_markdown(found: pl.DataFrame | None) -> str:
    """Write the section of a report, from a second-level heading on; empty without cosines."""
    if found is None:
        return ""
    return "\n\n".join([f"## {TITLE}", _WHAT, *map(interval_table, _tables(found))])


def _tables(found: pl.DataFrame) -> Iterator[TableFile]:
    """One for each model and dataset."""
    labelled = with_model_labels(cosines_by_distance(found))
    columns = (*DISTANCES, "largest", "n_samples")
    for (model, dataset), lines in labelled.group_by("model", "dataset", maintain_order=True):
        heading = f"{model} · {dataset}"
        yield TableFile(
            name=COLUMN,
            caption=heading,
            keys=("dataset", "cot", "correctness", "projection"),
            groups=(ColumnGroup(heading, columns, (*DISTANCES, "largest", "samples")),),
            frame=lines,
        )
