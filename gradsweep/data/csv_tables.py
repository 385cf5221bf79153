"""CSV and TSV: every cell a text as it stands there, or the row in which that cannot be told.

polars reads the table and Python's strict reader reads it again. Where a text has quotes that are
not doubled, as Spark and MySQL write them, polars returns another text without a word.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from gradsweep.data.files import read_text
from gradsweep.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_ONE_READER_ONLY = re.compile("\r(?!\n)|\0")
"""A carriage return inside a line ends a row for one of the two; NUL is an error of older ones."""
_STAND_IN = "\x1e"
_DOUBLED = (
    'CSV doubles a quote in a text (""). Export the table again so (Spark: .option("escape", '
    "'\"'), MySQL: ESCAPED BY '\"'), or as Parquet or JSON lines"
)


def read_csv(path: Path, field: str, separator: str = ",") -> pl.DataFrame:
    """The table in a file of separated texts; an empty cell is None.

    Raises:
        DataError: the file cannot be read, a quote in a text is not doubled, or two columns have
            one name.
    """
    import polars as pl

    text = _with_line_feeds(read_text(path, field))
    header, *rows = _strict_rows(text, separator, path)
    _require_distinct(header, path)
    table = pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema=False)
    # Programs that put every cell in quotes write a missing one as "".
    table = table.with_columns(pl.all().replace("", None))
    _require_agreement(table, rows, path)
    return table


def _with_line_feeds(text: str) -> str:
    """The text with line feeds, where all its lines end in a carriage return, as on old Macs."""
    return text if "\n" in text else text.replace("\r", "\n")


def _strict_rows(text: str, separator: str, path: Path) -> list[list[str]]:
    """The header and the rows, blank ones as empty lists. Raises `DataError` as `read_csv`."""
    lines = io.StringIO(_comparable(text).lstrip("\r\n"), newline="")
    rows: list[list[str]] = []
    limit = csv.field_size_limit(sys.maxsize)
    try:
        rows.extend(csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error as error:
        place = f"row {len(rows)}" if rows else "header"
        what = (
            'a text in quotes has a quote with a backslash before it (\\")'
            if '\\"' in text
            else "a text in quotes holds a quote that is not doubled, or is never closed"
        )
        raise DataError(f"{path}, {place}: {what}. {_DOUBLED}") from error
    finally:
        csv.field_size_limit(limit)
    return rows


def _require_distinct(header: Sequence[str], path: Path) -> None:
    """Columns without a name are of no use, and may be several: spreadsheets leave them."""
    repeated = [name for name, count in Counter(header).items() if count > 1 and name]
    if repeated:
        raise DataError(
            f"{path}: {header.count(repeated[0])} columns have the name {repeated[0]!r}, and only "
            "one could be read; each must have a name of its own: rename or delete the others"
        )


def _require_agreement(table: pl.DataFrame, rows: Sequence[Sequence[str]], path: Path) -> None:
    """Raise `DataError` for the first row in which the two readers found other texts."""
    filled = [(number, row) for number, row in enumerate(rows, start=1) if any(row)]
    for (number, ours), theirs in zip_longest(filled, _filled(table), fillvalue=(len(rows), ())):
        if tuple(ours) + ("",) * (table.width - len(ours)) != theirs:
            raise DataError(
                f"{path}, row {number}: a text that stands in no quotes has quotes or a carriage "
                f"return inside, and could be read in two ways. Put it in quotes; {_DOUBLED}"
            )


def _filled(table: pl.DataFrame) -> Iterator[tuple[str, ...]]:
    for row in table.iter_rows():
        if any(row):
            yield tuple("" if cell is None else _comparable(cell) for cell in row)


def _comparable(text: str) -> str:
    return _ONE_READER_ONLY.sub(_STAND_IN, text) if "\r" in text or "\0" in text else text
