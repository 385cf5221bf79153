"""A run with a user's own YAML folder, and the manifest it leaves."""

from __future__ import annotations

import json
from pathlib import Path


def mine(own: Path, data: str = "good") -> list[str]:
    """A run of the user's own model, which takes a second."""
    flags = [f"--config-dir={own}", "model=mine", "dataset=jsonl", "tracking=none"]
    return [*flags, f"dataset.path={own.parent / data}.jsonl"]


def manifest(results: Path = Path("results")) -> dict[str, object]:
    (path,) = (results / "sweeps").glob("*/manifest.json")
    content = json.loads(path.read_text())
    assert isinstance(content, dict)
    return content
