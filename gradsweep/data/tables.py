"""Tables with a row per record: CSV, Parquet, Arrow, and folders of `datasets`' save_to_disk."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradsweep.data.csv_tables import read_csv
from gradsweep.data.files import read_bytes, unreadable
from gradsweep.data.table_numbers import rows_with_texts
from gradsweep.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_ARROW_FILE = b"ARROW1"
"""First bytes of Arrow's file format; the stream format, which `datasets` writes, has none."""


def read_table(path: Path, suffix: str, field: str) -> Iterator[dict[str, Any]]:
    """The rows of a table by column; a cell without a value is None.

    Every cell of a CSV file is a text, as it is written there: `007` and `1.50` stay so. A number
    whose text Python would write otherwise is a `NumberInTable`.

    Args:
        path: a file, or a folder that `datasets` saved.
        suffix: one of `TABLES`, which says what the file holds; "" for a folder.
        field: the config field that names the file, for errors.

    Raises:
        DataError: the file cannot be read or is no such table; a folder is no saved dataset, or
            has several splits; of CSV as `read_csv`.
    """
    # Imported here: most points read no table.
    from polars.exceptions import PanicException, PolarsError

    try:
        table = TABLES[suffix](path, field) if suffix else _saved_dataset(path, field)
        yield from rows_with_texts(table)
    # A broken file makes some of polars' readers panic, which is no Exception.
    except (PolarsError, PanicException, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise unreadable(path, field, error) from error


def _tsv(path: Path, field: str) -> pl.DataFrame:
    return read_csv(path, field, separator="\t")


def _parquet(path: Path, field: str) -> pl.DataFrame:
    import polars as pl

    return pl.read_parquet(io.BytesIO(read_bytes(path, field)))


def _arrow(path: Path, field: str) -> pl.DataFrame:
    import polars as pl

    data = read_bytes(path, field)
    read = pl.read_ipc if data.startswith(_ARROW_FILE) else pl.read_ipc_stream
    return read(io.BytesIO(data))


def _saved_dataset(path: Path, field: str) -> pl.DataFrame:
    from datasets import DatasetDict, load_from_disk  # type: ignore[import-untyped]  # seconds

    try:
        loaded = load_from_disk(str(path))
    except FileNotFoundError as error:
        raise DataError(
            f"{field}: cannot read {path}: Is a directory, and none that the save_to_disk of "
            "datasets wrote; name a file in it"
        ) from error
    if isinstance(loaded, DatasetDict):
        if len(loaded) != 1:
            splits = ", ".join(loaded) or "none"
            raise DataError(
                f"{field}: {path} must hold one split, got {splits}; name one of them: "
                f"{field}={path}/<split>"
            )
        (loaded,) = loaded.values()
    return loaded.to_polars()


TABLES: dict[str, Callable[[Path, str], pl.DataFrame]] = {
    ".csv": read_csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
    ".arrow": _arrow,
}
"""Ending of a file -> its reader."""
OF_TEXTS = (".csv", ".tsv")
"""Those of `TABLES` whose every cell is a text."""
