"""Which commit of a hub model a point is measured with: noted at its first start, kept to its end.

A hub id without a commit is a name whose content may change while a point waits to go on. The
note is a file of its own, which only the first of several processes can create; config.yaml,
which every start writes anew, repeats it for readers.
"""

from __future__ import annotations

from typing import Any

import yaml

from gradsweep.store.atomic import create_text, readable_disk_errors, write_text
from gradsweep.store.paths import PointPaths


def kept_commit(paths: PointPaths) -> str | None:
    """The commit (40 hex digits) that the point was begun with; None before, or when unknown."""
    try:
        return paths.model_commit.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def keep_commit(paths: PointPaths, commit: str) -> str:
    """Note the commit that this process has loaded, and return the one that counts.

    Of several processes that measure shares of the point, the first one's counts for all.

    Raises:
        StoreError: it cannot be written.
    """
    if kept_commit(paths) is None:
        with readable_disk_errors(paths.model_commit):
            create_text(paths.model_commit, commit)
    write_config(paths, yaml.safe_load(paths.config.read_text(encoding="utf-8")))
    return kept_commit(paths) or commit


def write_config(paths: PointPaths, record: dict[str, Any]) -> None:
    """Write config.yaml: what was asked for and, once it is known, the model's commit."""
    commit = kept_commit(paths)
    known = record | ({"model_commit": commit} if commit else {})
    write_text(paths.config, yaml.safe_dump(known, sort_keys=False, allow_unicode=True))
