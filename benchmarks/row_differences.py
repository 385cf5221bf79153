"""Two tables of the same measurements, compared bit for bit and column by column."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

IGNORED = ("seconds",)
"""Columns that differ from run to run."""

KEY = ("case", "sample_id", "sample", "layer", "projection", "head")
"""Columns that tell lines apart, where both tables have them."""

_BITS: dict[object, type] = {pl.Float64(): np.uint64, pl.Float32(): np.uint32}


@dataclass(frozen=True)
class Differences:
    """Everything in which the tables of the two sides are not the same."""

    n_rows: int
    """Lines that both sides have."""
    columns: tuple[str, ...]
    """Columns that were compared; those of the key are not among them."""
    lost: tuple[str, ...]
    """Columns of the base only."""
    added: tuple[str, ...]
    """Columns of the head only, with "(null)" behind one that has no value."""
    lines_lost: pl.DataFrame
    """Keys of lines of the base only."""
    lines_added: pl.DataFrame
    changed: dict[str, pl.DataFrame]
    """Column -> the lines in which it differs: the key, `base` and `head`."""

    def forbidden(self, allowed: Collection[str]) -> list[str]:
        """Name the columns that differ, except those in `allowed`, and the lines of one side.

        Empty when the tables are the same.
        """
        columns = [name for name in (*self.lost, *self.changed) if name not in allowed]
        lines = len(self.lines_lost) or len(self.lines_added)
        return columns + (["lines of one side only"] if lines else [])


def differences(base: pl.DataFrame, head: pl.DataFrame) -> Differences:
    """Compare what both tables have, whatever the order of their lines.

    Raises:
        ValueError: the key does not tell the lines of a table apart.
    """
    key = [name for name in KEY if name in base.columns and name in head.columns]
    base_keys, head_keys = (_unique_keys(frame, key) for frame in (base, head))
    common = base_keys.join(head_keys, on=key, how="semi", nulls_equal=True)
    first, second = (
        frame.join(common, on=key, how="semi", nulls_equal=True).sort(key) for frame in (base, head)
    )
    columns = [c for c in base.columns if c in head.columns and c not in (*key, *IGNORED)]
    changed = {}
    for name in columns:
        differs = ~same_bits(first[name], second[name])
        if differs.any():
            sides = [first[name].alias("base"), second[name].alias("head")]
            changed[name] = first.select(key).with_columns(sides).filter(differs)
    return Differences(
        n_rows=len(common),
        columns=tuple(columns),
        lost=_missing(base, head),
        added=tuple(_described(head[name]) for name in _missing(head, base)),
        lines_lost=base_keys.join(head_keys, on=key, how="anti", nulls_equal=True),
        lines_added=head_keys.join(base_keys, on=key, how="anti", nulls_equal=True),
        changed=changed,
    )


def same_bits(base: pl.Series, head: pl.Series) -> pl.Series:
    """Return, line by line, whether two columns hold the same value.

    Floats are the same when their bits are, or when both are NaN; null is no NaN. Columns of
    different types have nothing in common except nulls.
    """
    nulls = base.is_null() & head.is_null()
    if base.dtype != head.dtype:
        return nulls
    if isinstance(base.dtype, pl.List):
        return _same_lists(base, head)
    bits = _BITS.get(base.dtype)
    if bits is None:
        return base.eq_missing(head)
    both = base.is_not_null() & head.is_not_null()
    first, second = (series.fill_null(0).to_numpy() for series in (base, head))
    same = (first.view(bits) == second.view(bits)) | (np.isnan(first) & np.isnan(second))
    return nulls | (both & pl.Series(same, dtype=pl.Boolean))


def _same_lists(base: pl.Series, head: pl.Series) -> pl.Series:
    """Compare lists by their lengths, then by their values, line by line."""
    same = base.list.len().eq_missing(head.list.len())
    alike = pl.DataFrame({"line": np.arange(len(base)), "base": base, "head": head}).filter(same)
    values = alike.filter(pl.col("base").list.len() > 0).explode("base", "head")
    differs = values.filter(~same_bits(values["base"], values["head"]))["line"]
    lines = pl.Series(np.arange(len(base)))
    return same & ~lines.is_in(differs.unique().to_list())


def largest_relative_difference(changed: pl.DataFrame) -> float | None:
    """Return max |head − base| / |base| over finite numbers; None where no pair is of numbers."""
    if not changed["base"].dtype.is_numeric() or not changed["head"].dtype.is_numeric():
        return None
    base, head = changed["base"].cast(pl.Float64), changed["head"].cast(pl.Float64)
    relative = (head - base).abs() / base.abs()
    finite = relative.filter(base.is_finite() & head.is_finite())
    largest = finite.max()
    return None if largest is None else float(str(largest))


def _unique_keys(frame: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    keys = frame.select(key)
    if keys.is_duplicated().any():
        example = keys.filter(keys.is_duplicated()).row(0, named=True)
        raise ValueError(f"{', '.join(key)} do not tell lines apart, for example {example}")
    return keys


def _missing(frame: pl.DataFrame, other: pl.DataFrame) -> tuple[str, ...]:
    return tuple(c for c in frame.columns if c not in other.columns and c not in IGNORED)


def _described(column: pl.Series) -> str:
    return f"{column.name} (null)" if column.null_count() == len(column) else column.name
