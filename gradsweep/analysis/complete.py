"""Complete values: of the samples that have one in every layer of a projection.

They come as a frame (`complete_values`), or as an array for each curve, of any number of metrics of
rows that are sorted once (`SortedRows`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.rows import whole_matrices
from gradsweep.errors import DataError
from gradsweep.records import ROW_KEY
from gradsweep.store.frames import require_known_keys

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROUNDING = 1e-5
"""Relative difference of values that count as the same: what metrics are accurate to."""

_NAMES = ("point_id", "projection", "sample_id", "question_id")


def complete_values(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Take the values of `metric` for the samples that have one in every layer of a projection.

    A sample with a value that is missing or not finite in some layer, or in a row that failed
    its checksum (`finite` is false), is left out of that projection altogether, as in the
    paper's scripts: otherwise neighbouring layers would be means over different samples. A
    layer in which no sample at all has a value is left out instead of all samples. Values are
    those of whole matrices (`whole_matrices`). A sample whose rows are there twice, as after two
    writers, counts once.

    Columns: point_id, projection, sample_id, question_id, layer, value; sorted in that order,
    so that the order of `rows` changes nothing.

    Raises:
        DataError: rows of the same sample, projection and layer differ in a column that is not
            known here, or in their value; or a projection has rows of heads only.
    """
    rows = whole_matrices(rows)
    keys = ["point_id", "projection", "sample_id", "layer"]
    trusted = rows.filter("finite") if "finite" in rows.columns else rows
    valued = (
        trusted.select(*keys, "question_id", pl.col(metric).cast(pl.Float64).alias("value"))
        .with_columns(_as_numbers(rows, _NAMES))
        .filter(pl.col("value").is_finite())
        .sort(*keys, "question_id", "value")
    )
    values = valued.unique(subset=keys, keep="first", maintain_order=True)
    if len(values) < len(valued):
        require_known_keys(rows, ("point_id", "sample_id"))
        _require_same_values(valued, keys, metric)
    layers_of_curve = pl.col("layer").n_unique().over("point_id", "projection")
    layers_of_sample = pl.len().over("point_id", "projection", "sample_id")
    complete = values.filter(layers_of_sample == layers_of_curve)
    return complete.select(pl.col(_NAMES).cast(pl.String), "layer", "value")


def _require_same_values(values: pl.DataFrame, keys: list[str], metric: str) -> None:
    """Refuse rows that are there twice with values further apart than rounding."""
    value = pl.col("value")
    spread = values.group_by(keys).agg(low=value.min(), high=value.max())
    apart = spread.filter(pl.col("high") - pl.col("low") > ROUNDING * pl.col("high").abs())
    if len(apart):
        first = apart.sort(keys).row(0, named=True)
        raise DataError(
            f"rows: {metric} of point {first['point_id']}, sample {first['sample_id']}, layer "
            f"{first['layer']} {first['projection']} is there as {first['low']:g} and as "
            f"{first['high']:g}; keep one row of each (sample, {', '.join(ROW_KEY)})"
        )


@dataclass(frozen=True)
class Asked:
    """The questions of a curve's samples."""

    question_ids: tuple[str, ...]
    """Each once, sorted."""
    place: NDArray[np.intp]
    """(samples,): which of them a sample answers."""

    @property
    def once(self) -> bool:
        """Whether every question has one sample."""
        return len(self.question_ids) == len(self.place)


@dataclass(frozen=True)
class CurveValues:
    """Complete values of one metric of one point in one projection."""

    point_id: str
    projection: str
    layers: tuple[int, ...]
    """Ascending."""
    asked: Asked
    values: Floats
    """(samples, layers), in the order of the samples' names."""

    @property
    def names(self) -> tuple[str, str]:
        """Point and projection."""
        return self.point_id, self.projection


@dataclass(frozen=True)
class _Lines:
    """Where the rows of a curve are, if there is one of each of its samples and layers."""

    names: tuple[str, str]
    layers: tuple[int, ...] = ()
    asked: Asked | None = None


class SortedRows:
    """Rows of whole matrices, sorted once for all of their metrics."""

    def __init__(self, rows: pl.DataFrame) -> None:
        """Sort rows as `load_rows` gives them.

        Raises:
            DataError: a projection of a point has rows of heads only.
        """
        self.rows = whole_matrices(rows)
        names = {name: _Codes.of(self.rows[name]) for name in _NAMES}
        layer = self.rows["layer"].cast(pl.Int64).fill_null(-1).to_numpy()
        self._order = _order([names[n].codes for n in _NAMES[:3]] + [layer])
        sorted_ = {name: one.codes[self._order] for name, one in names.items()}
        curve = np.stack([sorted_[name] for name in _NAMES[:2]])
        changes = (np.diff(curve, prepend=-2) != 0).any(axis=0)
        self._starts = np.flatnonzero(changes)
        self._lines = list(self._cut(names, sorted_, layer[self._order]))

    def curves(self, metric: str) -> list[CurveValues]:
        """Arrange the `complete_values` of a metric: an array for each curve, in their order.

        Raises:
            DataError: as `complete_values`.
        """
        if not self._lines:
            return []
        value = self.rows[metric].cast(pl.Float64).to_numpy()[self._order]
        there = np.isfinite(value) & self._trusted
        has_all = np.logical_and.reduceat(there, self._starts)
        stops = np.append(self._starts, len(value))[1:]
        found, others = {}, []
        for lines, start, stop, whole in zip(
            self._lines, self._starts, stops, has_all, strict=True
        ):
            if whole and lines.asked is not None:
                block = value[start:stop].reshape(-1, len(lines.layers))
                found[lines.names] = CurveValues(*lines.names, lines.layers, lines.asked, block)
            else:
                others.append(lines.names)
        found |= {one.names: one for one in self._of(others, metric)}
        return [found[lines.names] for lines in self._lines if lines.names in found]

    def _of(self, names: list[tuple[str, str]], metric: str) -> list[CurveValues]:
        """Curves that lack a value somewhere, or have one twice."""
        if not names:
            return []
        key = ("point_id", "projection")
        asked = pl.DataFrame(names, dict.fromkeys(key, pl.String()), orient="row")
        rows = self.rows.join(asked, on=key, how="semi", maintain_order="left")
        return curve_values(complete_values(rows, metric))

    @cached_property
    def _trusted(self) -> NDArray[np.bool_]:
        if "finite" not in self.rows.columns:
            return np.ones(len(self.rows), bool)
        return self.rows["finite"].fill_null(False).to_numpy()[self._order]

    def _cut(
        self, names: Mapping[str, _Codes], codes: Mapping[str, Ints], layer: Ints
    ) -> Iterator[_Lines]:
        """Where each curve is in the sorted rows; without layers where some row lacks or is there
        twice."""
        sample, question = codes["sample_id"], codes["question_id"]
        known = all((of_name >= 0).all() for of_name in codes.values())
        asked: dict[bytes, Asked] = {}
        for start, stop in zip(self._starts, np.append(self._starts, len(layer))[1:], strict=True):
            point_id, projection = (names[n].name(codes[n][start]) for n in _NAMES[:2])
            n_layers = int(np.searchsorted(sample[start:stop], sample[start], side="right"))
            if not known or not _is_whole(layer[start:stop], sample[start:stop], n_layers):
                yield _Lines((point_id, projection))
                continue
            of_samples = question[start:stop:n_layers]
            key = of_samples.tobytes()
            if key not in asked:
                ids, place = np.unique(of_samples, return_inverse=True)
                asked[key] = Asked(tuple(map(names["question_id"].name, ids)), place)
            layers = tuple(layer[start : start + n_layers].tolist())
            yield _Lines((point_id, projection), layers, asked[key])


@dataclass(frozen=True)
class _Codes:
    """A column as numbers in the order of its names."""

    codes: Ints
    """-1 where there is no name."""
    names: tuple[str, ...]

    @classmethod
    def of(cls, column: pl.Series) -> _Codes:
        """Number the names of a column; names that stand together are looked at once."""
        first = column.head(1000)
        if len(first.rle()) > len(first) / 2:
            return cls._each(column)
        runs = column.rle().struct
        of_runs = cls._each(runs.field("value"))
        return cls(np.repeat(of_runs.codes, runs.field("len").to_numpy()), of_runs.names)

    @classmethod
    def _each(cls, column: pl.Series) -> _Codes:
        names = column.drop_nulls().unique().sort()
        codes = column.cast(pl.Enum(names)).to_physical().cast(pl.Int64).fill_null(-1)
        return cls(codes.to_numpy(), tuple(names))

    def name(self, code: int) -> str:
        # Names that lack are only ever given to `complete_values`, which says so.
        return self.names[code] if code >= 0 else ""


def _order(columns: Sequence[Ints]) -> Ints:
    """Sort lines by several columns of whole numbers from -1 on, as one number each."""
    key = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        key = key * (int(column.max(initial=0)) + 2) + column + 1
    # Rows as they were stored are a few sorted runs, which this kind of sort merges.
    return np.argsort(key, kind="stable")


def _as_numbers(rows: pl.DataFrame, names: Sequence[str]) -> list[pl.Expr]:
    """Columns as numbers in the order of their names, which are sorted in half the time."""
    return [pl.col(n).cast(pl.Enum(rows[n].drop_nulls().unique().sort())) for n in names]


def _is_whole(layer: NDArray[Any], sample: NDArray[Any], n_layers: int) -> bool:
    """Whether each of the samples has the same layers, each once."""
    if len(layer) % n_layers:
        return False
    layers, samples = layer.reshape(-1, n_layers), sample.reshape(-1, n_layers)
    return bool(
        (np.diff(layers[0]) > 0).all()
        and (layers == layers[0]).all()
        and (samples == samples[:, :1]).all()
        and (np.diff(samples[:, 0]) > 0).all()
    )


def curve_values(values: pl.DataFrame) -> list[CurveValues]:
    """Cut `complete_values` at its points and projections.

    One pass over arrays: a frame for each of a thousand curves takes longer than their statistics.
    """
    starts = _starts(values, "point_id", "projection")
    names = values.select("point_id", "projection")[starts].rows()
    layer, value = values["layer"].to_numpy(), values["value"].to_numpy()
    question = values["question_id"].to_numpy()
    found = []
    for (point_id, projection), start, stop in zip(
        names, starts, np.append(starts, len(values))[1:], strict=True
    ):
        layers = np.unique(layer[start:stop])
        ids, place = np.unique(
            question[start : stop : len(layers)].astype(str), return_inverse=True
        )
        block = value[start:stop].reshape(-1, len(layers))
        asked = Asked(tuple(ids.tolist()), place)
        found.append(CurveValues(point_id, projection, tuple(layers.tolist()), asked, block))
    return found


def _starts(frame: pl.DataFrame, *names: str) -> NDArray[np.intp]:
    """Lines at which another curve begins."""
    of_names = frame.select(names)
    starts = (of_names != of_names.shift(1)).fill_null(True).select(pl.any_horizontal(pl.all()))
    return np.flatnonzero(starts.to_series().to_numpy())
