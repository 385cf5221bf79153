"""What a reference model says of a point's responses, kept beside the point."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import polars as pl

from gradsweep.errors import DataError
from gradsweep.store.atomic import write_parquet
from gradsweep.store.parquet import UNREADABLE, read_table
from gradsweep.store.paths import PointPaths

_SCHEMA = {"sample_id": pl.String(), "log_probs": pl.List(pl.Float64())}


def read_reference(paths: PointPaths) -> dict[str, tuple[float, ...]] | None:
    """Return sample_id -> log p of each response token, in nats; None where none is stored.

    Raises:
        DataError: it is damaged; says what to delete.
    """
    if not paths.reference.exists():
        return None
    try:
        frame = read_table(paths.reference)
    except UNREADABLE as error:
        raise DataError(
            f"{paths.reference} is damaged: rm {shlex.quote(str(paths.reference))}, and the "
            "point's command makes it again"
        ) from error
    return {sample_id: tuple(values) for sample_id, values in frame.iter_rows()}


def write_reference(paths: PointPaths, log_probs: Mapping[str, tuple[float, ...]]) -> None:
    """Write them whole, in the place of what was there; raises StoreError as `write_bytes`."""
    lines = [(sample_id, list(values)) for sample_id, values in log_probs.items()]
    write_parquet(paths.reference, pl.DataFrame(lines, schema=_SCHEMA, orient="row"))
