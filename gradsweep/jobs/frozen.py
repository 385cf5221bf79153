"""Copies that jobs run whatever is edited while they wait: the configs of their points, and the
package as it was when they were submitted.
"""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

import gradsweep
from gradsweep.config import Config
from gradsweep.errors import DataError
from gradsweep.identity import changes_since, point_record
from gradsweep.jobs.schedulers.base import RUNNER
from gradsweep.store.atomic import readable_disk_errors, write_text
from gradsweep.store.metadata import read_yaml, stored_config
from gradsweep.versions import COMMIT_FILE, code_digest, versions

PACKAGE = Path(gradsweep.__file__).resolve().parent


def freeze_point(path: Path, config: Config, sweep: str) -> None:
    """Write the resolved config; results go to the same folder wherever the job starts."""
    root = str(config.results.absolute())
    config = replace(config, sweep=sweep, store=replace(config.store, root=root))
    record = point_record(config)
    write_text(path, yaml.safe_dump(record, sort_keys=False, allow_unicode=True))


def read_frozen(path: Path) -> dict[str, Any]:
    """Read what `freeze_point` wrote: the content of the point's future config.yaml."""
    return read_yaml(path)


def frozen_config(record: dict[str, Any]) -> Config:
    """Return the config in a record.

    Raises:
        ConfigError: it was frozen by a version whose fields are others.
        DataError: it is not the point it was: its data or its model have changed since.
        ModelError: its model is not where it was.
    """
    config = stored_config(record)
    if changes := changes_since(config, record):
        raise DataError(
            f"{changes} since this point was submitted: "
            "its numbers would be those of another point; submit it again"
        )
    return config


def take_snapshot(results: Path) -> Path:
    """Copy the package to `results/code/<digest>`, unless it is there; returns that folder."""
    folder = (results / "code" / code_digest()).absolute()
    with readable_disk_errors(folder):
        if folder.exists():
            return folder
        aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGE, aside / PACKAGE.name, ignore=ignored)
        commit = versions().get("git_commit")
        if commit:
            (aside / PACKAGE.name / COMMIT_FILE).write_text(commit, encoding="utf-8")
        (aside / RUNNER).write_text("from gradsweep.jobs.run import main\n\nmain()\n")
        try:
            os.replace(aside, folder)
        except OSError:
            if not folder.exists():
                raise
            shutil.rmtree(aside)  # another submission was faster
    return folder
