"""The record of what was run, config.yaml, read again; or what is wrong with it, and what to do.

Reports, `status` and `compare` end with the first record that cannot be read: a point that they
left out would be missed by nobody. `doctor` names each and goes on with the others.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from gradsweep.errors import DataError
from gradsweep.records import AXES
from gradsweep.store.checksums import command_of, how_to_heal
from gradsweep.store.kept import kept, mark_of
from gradsweep.store.metadata import read_yaml
from gradsweep.store.paths import PointPaths, has_results

_AXES = frozenset(AXES) - {"objective"}
"""Those that records of every version name."""
_LAST = "sweep"
"""The last field of a config in records of every version: without it, the end is cut off."""


class RecordError(DataError):
    """A config.yaml that is gone or damaged, or of another point than its folder's."""

    def __init__(self, finding: str, remedy: str) -> None:
        super().__init__(f"{finding}. {remedy}")
        self.finding, self.remedy = finding, remedy


def read_config(paths: PointPaths) -> dict[str, Any]:
    """Read the point's config.yaml: the record of what was run.

    Raises:
        RecordError: it is damaged, of another point, or gone while results are there; names it and
            what to do.
        FileNotFoundError: there is no such point.
    """
    record = _record(paths)
    if fault := _fault(record):
        raise RecordError(f"{paths.config} is damaged: {fault}", _how_to_mend(paths))
    of = record.get("point_id", paths.point_id)
    if of != paths.point_id:
        raise RecordError(
            f"{paths.folder} is no point of its own: by its config.yaml it is a copy of {of}",
            f"{_move(paths)}, or give it its name again if {of} is not there",
        )
    return record


def _record(paths: PointPaths) -> dict[str, Any]:
    """The content of config.yaml, as it was read before if the file is still the same."""
    try:
        known, mark = kept(paths.results, "records"), mark_of(paths.config)
    except FileNotFoundError as error:
        if not has_results(paths):
            raise
        raise RecordError(f"{paths.config} is gone", _how_to_mend(paths)) from error
    text = known.get(paths.point_id, mark)
    if text is not None:
        with suppress(ValueError):  # of a damaged cache
            known_record: dict[str, Any] = orjson.loads(text)
            return known_record
    try:
        record = read_yaml(paths.config)
    except DataError as error:
        raise RecordError(str(error), _how_to_mend(paths)) from error
    text = _as_json(record)
    if text is not None:
        known.put(paths.point_id, mark, text)
    return record


def _as_json(record: Mapping[str, Any]) -> str | None:
    """A record as one line of JSON, ten times as soon read; None where that would change it."""
    try:
        text = orjson.dumps(record)
    except TypeError:  # keys that are no text, say
        return None
    return text.decode() if orjson.loads(text) == record else None  # YAML knows dates


def _fault(record: Mapping[str, Any]) -> str:
    """Say what a record lacks; empty where it has what every version writes."""
    if not isinstance(record, dict) or not isinstance(record.get("axes"), dict):
        return "it names no axes"
    if missing := sorted(_AXES - record["axes"].keys()):
        return f"it names no {' and no '.join(missing)}"
    for section in ("science", "config"):
        if not isinstance(record.get(section), dict):
            return f"it has no section {section}"
    config = record["config"]  # empty of a run in somebody else's loop
    if config and _LAST not in config:
        return "the end of its section config is missing"
    return ""


def _how_to_mend(paths: PointPaths) -> str:
    if paths.done.exists():
        return how_to_heal(paths)
    command = command_of(paths)
    if command or has_results(paths):
        told = command or "the command that made the point"
        return f"Run it again, which writes the file anew and keeps what is stored: {told}"
    return f"{_move(paths)}, or remove it and run the command that made the point, if it is one"


def _move(paths: PointPaths) -> str:
    folder, results = paths.folder, paths.results
    return f"Move it out of {folder.parent}: {shlex.join(['mv', str(folder), str(results)])}"
