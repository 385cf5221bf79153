"""Variants: points that share all four axes and differ in something else (seed, prompt, dtype)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from gradsweep.records import AXES


def variant_names(
    axes: Mapping[str, Mapping[str, str]], science: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Name what tells points with the same axes apart: point_id -> `seed=1 dtype=bfloat16`.

    Args:
        axes: point_id -> its choice on every axis.
        science: point_id -> the `science` of its config.yaml.

    Returns:
        An empty name for a point that is alone on its axes.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for point_id, chosen in axes.items():
        groups.setdefault(tuple(chosen[axis] for axis in AXES), []).append(point_id)
    names: dict[str, str] = {}
    for point_ids in groups.values():
        fields = {point_id: dict(_flat(science[point_id])) for point_id in point_ids}
        names |= {point_id: _difference(fields, point_id) for point_id in point_ids}
    return names


def variant_parts(variant: str) -> Sequence[str]:
    """Take a variant's name apart: `seed=1 dtype=bfloat16` gives `seed=1` and `dtype=bfloat16`."""
    return re.split(r" (?=\w+=)", variant)


def model_label(model: str, variant: str) -> str:
    """Join a model and a variant for a reader: `qwen2_1.5b seed=1`."""
    return f"{model} {variant}" if variant else model


def with_model_labels(frame: pl.DataFrame) -> pl.DataFrame:
    """Put `model_label` in place of the columns model and variant."""
    labels = pl.concat_str("model", "variant", separator=" ")
    shown = pl.when(pl.col("variant") == "").then(pl.col("model")).otherwise(labels)
    return frame.with_columns(model=shown).drop("variant")


def _difference(fields: Mapping[str, Mapping[str, Any]], point_id: str) -> str:
    """This point's value of every field that is not the same in all of them."""
    keys = sorted({key for values in fields.values() for key in values})
    differing = [k for k in keys if len({str(values.get(k)) for values in fields.values()}) > 1]
    # Another seed makes other data: the hash says nothing that the seed does not.
    differing = [key for key in differing if key != "dataset.data"] or differing
    values = [(key.rsplit(".", 1)[-1], fields[point_id].get(key)) for key in differing]
    return " ".join(f"{name}={'none' if value is None else value}" for name, value in values)


def _flat(science: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in science.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
