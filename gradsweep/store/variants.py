"""Names for points that share all four axes and differ in something else (seed, prompt, dtype)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from gradsweep.records import AXES


def with_variants(frame: pl.DataFrame, science: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    """`frame` with what tells such points apart added to their `model`: "qwen2_1.5b seed=1".

    Args:
        frame: columns point_id and the axes, any number of lines per point.
        science: point_id -> the `science` of its config.yaml.
    """
    points = frame.select("point_id", *AXES).unique()
    names: dict[str, str] = {}
    for _, group in points.group_by(*AXES):
        fields = {identity: dict(_flat(science[identity])) for identity in group["point_id"]}
        names |= {identity: _difference(fields, identity) for identity in fields}
    suffix = pl.col("point_id").replace_strict(names, return_dtype=pl.String)
    return frame.with_columns(model=(pl.col("model") + " " + suffix).str.strip_chars())


def _difference(fields: Mapping[str, Mapping[str, Any]], identity: str) -> str:
    """This point's value of every field that is not the same in all of them."""
    keys = sorted({key for values in fields.values() for key in values})
    differing = [k for k in keys if len({str(values.get(k)) for values in fields.values()}) > 1]
    # Another seed makes other data: the hash says nothing that the seed does not.
    differing = [key for key in differing if key != "dataset.data"] or differing
    values = [(key.rsplit(".", 1)[-1], fields[identity].get(key)) for key in differing]
    return " ".join(f"{name}={'none' if value is None else value}" for name, value in values)


def _flat(science: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in science.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
