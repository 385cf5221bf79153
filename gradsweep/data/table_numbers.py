"""Numbers of tables, with the texts that they are where they stand for responses.

A table has a number of 32 bits, `0.1`, which Python takes for `0.10000000149011612`; and one of
integers with gaps has `12.0`, as pandas keeps no integer beside a gap. `NumberInTable` counts as
the number it was, and its text is the one that was written.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

WHOLE = "whole numbers"
NARROW = "narrow numbers"

Write = Callable[[Any], Any]


class NumberInTable(float):
    """A number whose text is another than Python's of the same number."""

    text: str

    def __new__(cls, value: float, text: str) -> NumberInTable:
        made = super().__new__(cls, value)
        made.text = text
        return made

    def __str__(self) -> str:
        return self.text

    @property
    def rule(self) -> str:
        """`WHOLE` where the text has lost its `.0`, else `NARROW`."""
        return WHOLE if self.text.lstrip("-").isdigit() else NARROW


def rows_with_texts(table: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of a table by column; numbers whose texts differ from Python's have theirs."""
    columns = {column.name: write for column in table if (write := _of_column(column))}
    for row in table.iter_rows(named=True):
        for name, write in columns.items():
            row[name] = write(row[name])
        yield row


def number_rules(values: Iterable[Any], texts: Container[str]) -> frozenset[str]:
    """`WHOLE` and `NARROW`, where such a number, also inside a list or object, is one of `texts`.

    A point with these texts had others once.
    """
    return frozenset(number.rule for number in _numbers_in(values) if number.text in texts)


def whole_numbers_note(count: int, total: int, what: str, name: str) -> Iterator[str]:
    """Says so where numbers have lost their `.0`; `what` they are and the `name` of their file."""
    if count:
        yield (
            f"{count} of {total} {what} in {name} have a response from a column of numbers that "
            "are all whole: read without '.0', as 12 for 12.0; save the column as texts to keep it"
        )


def _numbers_in(values: Iterable[Any]) -> Iterator[NumberInTable]:
    for value in values:
        if isinstance(value, NumberInTable):
            yield value
        elif isinstance(value, list):
            yield from _numbers_in(value)
        elif isinstance(value, Mapping):
            yield from _numbers_in(value.values())


def _of_column(column: pl.Series) -> Write | None:
    """How the numbers of a column are written; None where Python does it rightly."""
    if column.dtype.is_float() and _is_whole(column):
        return lambda value: None if value is None else NumberInTable(value, str(int(value)))
    return _of_type(column.dtype)


def _is_whole(column: pl.Series) -> bool:
    """Whether every value is an integer, of a size in which floats of this width hold them all."""
    import polars as pl

    digits = {"Float32": 24, "Float64": 53}.get(str(column.dtype), 11)
    values = column.drop_nulls().cast(pl.Float64)
    exact = (values.floor() == values) & (values.abs() <= 2**digits)
    return bool(len(values)) and bool(exact.all()) and not bool(values.is_nan().any())


def _of_type(dtype: pl.DataType) -> Write | None:
    import polars as pl

    if isinstance(dtype, pl.Struct):
        fields = {field.name: _of_type(field.dtype) for field in dtype.fields}  # type: ignore[arg-type]
        return _in_object({name: write for name, write in fields.items() if write})
    if isinstance(dtype, (pl.List, pl.Array)):
        write = _of_type(dtype.inner)  # type: ignore[arg-type]
        return write and _in_list(write)
    if dtype.is_float() and not isinstance(dtype, pl.Float64):
        return _narrow("float32" if isinstance(dtype, pl.Float32) else "float16")
    return None


def _narrow(width: str) -> Write:
    """The shortest text that this width tells from its neighbours."""
    import numpy

    narrow = getattr(numpy, width)

    def write(value: float | None) -> float | None:
        if value is None or (text := str(narrow(value))) == str(value):
            return value
        return NumberInTable(value, text)

    return write


def _in_object(fields: Mapping[str, Write]) -> Write | None:
    def write(value: dict[str, Any] | None) -> dict[str, Any] | None:
        return value and value | {name: one(value[name]) for name, one in fields.items()}

    return write if fields else None


def _in_list(one: Write) -> Write:
    return lambda values: values and [one(value) for value in values]
