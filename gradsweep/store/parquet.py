"""Reading Parquet files by their names, whatever letters these have.

The one place that tells Polars so: it would take `[1]`, `*` and `?` anywhere in a path for a
pattern, and read the files of other folders that fit it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What Polars raises of a file that is damaged; some readers panic, which is no Exception."""


def read_table(file: Path, wanted: Callable[[str], bool] | None = None) -> pl.DataFrame:
    """Read a table, all columns or those that are `wanted` by name; raises PolarsError."""
    if wanted is None:
        return pl.read_parquet(file, glob=False)
    return scan(file).select([n for n in table_schema(file).names() if wanted(n)]).collect()


def table_schema(file: Path) -> pl.Schema:
    """Read the columns of a table and their types, and no rows; raises PolarsError."""
    return scan(file).collect_schema()


def scan(*files: Path, file_column: str | None = None) -> pl.LazyFrame:
    """Scan tables of one schema as one, in their order, with each one's path in a column if asked.

    Args:
        files: one or more.
        file_column: name of the column of paths.
    """
    return pl.scan_parquet(list(files), glob=False, include_file_paths=file_column)
