"""What it takes to run the points of a page again: versions, commands, settings."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from gradsweep.records import AXES
from gradsweep.report.page.points import ReportPoint, ReportPoints


def versions_of(points: Sequence[ReportPoint]) -> list[tuple[str, str]]:
    """List packages (and git_commit) with versions, and how many points where there are several."""
    recorded = [point.record["versions"] for point in points if "versions" in point.record]
    lines = []
    for name in dict.fromkeys(name for one in recorded for name in one):
        counts = Counter(one.get(name, "not recorded") for one in recorded)
        several = len(counts) > 1
        texts = [f"{value} ({n} points)" if several else value for value, n in counts.items()]
        lines.append((name, ", ".join(texts)))
    return lines


def commands_of(stored: ReportPoints) -> list[dict[str, str]]:
    """Name, command and time of each sweep."""
    return [
        {
            "name": sweep["name"],
            "command": shlex.join(sweep["command"]),
            "written": sweep["written"],
            "excluded": "; ".join(sweep["excluded"]),
        }
        for sweep in stored.sweeps
    ]


def flat_settings(points: Sequence[ReportPoint]) -> dict[str, dict[str, str]]:
    """List every setting of the points that were started, by id.

    Names are those of the overrides on the command line, `gradients.solver`, and
    `versions.<package>`.
    """
    return {point.point_id: _settings(point.record) for point in points if point.record}


def settings_of(
    flat: Mapping[str, Mapping[str, str]],
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Split `flat_settings` into those that all points share, and those of each point (by id)."""
    names = sorted({name for settings in flat.values() for name in settings})
    shared, differing = {}, []
    for name in names:
        values = {settings.get(name) for settings in flat.values()}
        if len(values) == 1 and None not in values:
            shared[name] = str(values.pop())
        else:
            differing.append(name)
    own = {
        point_id: {name: settings[name] for name in differing if name in settings}
        for point_id, settings in flat.items()
    }
    return shared, own


def settings_csv(points: Sequence[ReportPoint], flat: Mapping[str, Mapping[str, str]]) -> str:
    """Write a line for each point: id, axes, and every one of its `flat_settings`, empty where it
    has none."""
    names = sorted({name for settings in flat.values() for name in settings})
    columns: dict[str, list[str | None]] = {"point_id": [point.point_id for point in points]}
    columns |= {axis: [point.axes.get(axis) for point in points] for axis in AXES}
    own = [flat.get(point.point_id, {}) for point in points]
    columns |= {name: [settings.get(name) for settings in own] for name in names}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String())).write_csv()


def command_of_each(stored: ReportPoints) -> dict[str, str]:
    """Map each point to the command that runs it alone, where a sweep has it."""
    return {
        point["point_id"]: shlex.join(["python", "-m", "gradsweep", *point["overrides"]])
        for sweep in stored.sweeps
        for point in sweep["points"]
        if "overrides" in point
    }


def _settings(record: Mapping[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    _flatten(record["config"], "", flat)
    _flatten(record.get("versions", {}), "versions.", flat)
    return flat


def _flatten(config: Mapping[str, Any], prefix: str, into: dict[str, str]) -> None:
    """Of thousands of points there are millions of settings: what was read is a dict, and asking
    for a mapping takes as long as all the rest."""
    for key, value in config.items():
        if isinstance(value, dict) and value:
            _flatten(value, f"{prefix}{key}.", into)
        else:
            into[f"{prefix}{key}"] = "null" if value is None else str(value)
