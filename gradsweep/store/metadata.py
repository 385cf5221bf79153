"""What is written about points and sweeps, read again: YAML files, configs and manifests."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from gradsweep.errors import ConfigError, DataError
from gradsweep.store.paths import SweepPaths

if TYPE_CHECKING:
    from gradsweep.config import Config
    from gradsweep.config.stored import StoredParts

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Libyaml's, seven times as fast, wherever PyYAML was built with it."""


def stored_config(record: Mapping[str, Any]) -> Config:
    """Restore the config of a stored point, to be run again.

    Args:
        record: the content of its config.yaml.

    Raises:
        ConfigError: it was written by a version whose fields are others, or a check of the
            config fails.
    """
    from omegaconf.errors import OmegaConfBaseException

    try:
        return _stored_parts().config(record["config"])
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"config.yaml of {record['point_id']} is of another version: {reason}"
        ) from error


@lru_cache(maxsize=1)
def _stored_parts() -> StoredParts:
    from gradsweep.config.stored import StoredParts

    return StoredParts()


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file with one mapping, as the store writes them.

    Raises:
        DataError: it is none any more.
    """
    try:
        text = path.read_text(encoding="utf-8")
        # What the store writes ends a line: less is cut short, though it may be YAML all the same.
        content = yaml.load(text, _LOADER) if text.endswith("\n") else None
    except (yaml.YAMLError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged: cut short, or edited")
    return content


def read_manifest(paths: SweepPaths) -> dict[str, Any]:
    """Read the manifest of a sweep, which `gradsweep.plan` writes when the sweep starts.

    Raises:
        DataError: there is no such sweep (names those there are), or its manifest is damaged.
    """
    if not paths.manifest.exists():
        there = sorted(p.parent.name for p in paths.manifest.parent.parent.glob("*/manifest.json"))
        raise DataError(
            f"no sweep {paths.name!r} in {paths.results}; there are: {', '.join(there) or 'none'}"
        )
    try:
        manifest = json.loads(paths.manifest.read_text(encoding="utf-8"))
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict):
        raise DataError(
            f"{paths.manifest} is damaged: rm {shlex.quote(str(paths.manifest))}, and the sweep's "
            "command writes it again; its points stay"
        )
    return manifest


def read_manifests(results: Path) -> list[dict[str, Any]]:
    """Read the manifests of all sweeps of a results folder, the last written last."""
    names = sorted(path.parent.name for path in (results / "sweeps").glob("*/manifest.json"))
    manifests = [read_manifest(SweepPaths(results, name)) for name in names]
    return sorted(manifests, key=lambda manifest: str(manifest.get("written", "")))


def no_results(results: Path) -> DataError:
    """Say that nothing is stored there, and what to do."""
    return DataError(f"no results in {results}: run gradsweep first, or pass the right folder")
