"""The package as it is now, so that jobs which start later run the same code."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from functools import lru_cache
from pathlib import Path

import gradsweep
from gradsweep.store.atomic import readable_disk_errors
from gradsweep.versions import COMMIT_FILE, versions

PACKAGE = Path(gradsweep.__file__).resolve().parent
RUNNER = "run_job.py"
"""In a snapshot's folder: a script's own folder is where Python looks for packages first."""


@lru_cache(maxsize=1)
def code_digest() -> str:
    """First 12 hex digits of the SHA-256 of every source file of the package."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(str(path.relative_to(PACKAGE)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


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
