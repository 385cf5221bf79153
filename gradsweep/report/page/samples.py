"""The samples of each point that a reader may want to see: outliers, and those not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from gradsweep.records import Sample, SampleStatus, Unit
from gradsweep.report.page.curves import four_digits
from gradsweep.report.page.points import ReportPoints
from gradsweep.report.sample_texts import stored_units

LONGEST_TEXT = 1200
"""Characters of a prompt or response on the page."""
MOST_BAD_SAMPLES = 5


def samples_by_point(stored: ReportPoints, outliers: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Collect, for each point, `outliers`, `bad_samples` (lists of dicts) and `without_text`, why.

    `outliers` are those of `told_outliers`, with the columns of their samples.

    Results hold no text: it is read again from the data and taken only where the sample's hash
    is the same. Nothing is downloaded for it.
    """
    table = stored.samples.unique(["point_id", "sample_id"], maintain_order=True)
    bad = table.filter(pl.col("status") != SampleStatus.OK.value).sort("point_id", "index")
    told, of_bad = _by_point(outliers), _by_point(bad)
    by_point = {}
    for point in stored.points:
        units, why_not = stored_units(point.record)
        name = point.point_id
        by_point[name] = {
            "outliers": [
                {**_plain(line), **_text(units.get(line["sample_id"]))}
                for line in told.get(name, [])
            ],
            "bad_samples": [
                {name: line[name] for name in ("index", "sample_id", "status", "reason")}
                for line in of_bad.get(name, [])[:MOST_BAD_SAMPLES]
            ],
            "without_text": why_not,
        }
    return by_point


def _by_point(lines: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines.iter_rows(named=True):
        found.setdefault(line.pop("point_id"), []).append(line)
    return found


def _plain(line: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {name: float(f"{line[name]:.5g}") for name in ("value", "median")}
    return {**line, **numbers, "loss": four_digits(line.get("loss"))}


def _text(unit: Unit | None) -> dict[str, str]:
    if unit is None:
        return {}
    sample = _shown(unit)
    return {"prompt": _cut(sample.prompt), "response": _cut(sample.response)}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " […]"


def _shown(unit: Unit) -> Sample:
    """A sample with the text that is measured: a step's, or those of all responses of a unit, each
    behind what it is worth."""
    first, *others = unit.samples
    if first.step is not None:
        return replace(first, response=first.response[first.step.start : first.step.end])
    if not others:
        return first
    texts = (f"[reward {sample.reward:g}] {sample.response}" for sample in unit.samples)
    return replace(first, response="\n\n".join(texts))
