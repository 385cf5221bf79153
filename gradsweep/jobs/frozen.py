"""A point's config as it was when its job was submitted: what the job runs, whatever changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from gradsweep.config import Config
from gradsweep.config.composition import to_config
from gradsweep.errors import DataError
from gradsweep.identity import changes_since, point_record
from gradsweep.store.atomic import write_text
from gradsweep.store.read import read_yaml


def freeze_point(path: Path, config: Config, sweep: str) -> None:
    """Write the resolved config; results go to the same folder wherever the job starts."""
    root = str(config.results.absolute())
    config = replace(config, sweep=sweep, store=replace(config.store, root=root))
    record = point_record(config)
    write_text(path, yaml.safe_dump(record, sort_keys=False, allow_unicode=True))


def read_frozen(path: Path) -> dict[str, Any]:
    """What `freeze_point` wrote: the content of the point's future config.yaml."""
    return read_yaml(path)


def frozen_config(record: dict[str, Any]) -> Config:
    """The config in a record.

    Raises:
        DataError: it is not the point it was: its data or its model have changed since.
        ModelError: its model is not where it was.
    """
    merged = OmegaConf.merge(OmegaConf.structured(Config), record["config"])
    config = to_config(merged)  # type: ignore[arg-type]
    if changes := changes_since(config, record):
        raise DataError(
            f"{changes} since this point was submitted: "
            "its numbers would be those of another point; submit it again"
        )
    return config
