"""Folders that tests read: of this repository, and the study material beside a checkout."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CONF = REPOSITORY / "conf"
DOCS = REPOSITORY / "docs"
NOTEBOOKS = REPOSITORY / "notebooks"

SHARED = REPOSITORY.parent / "shared"
"""Beside a developer's checkout; tests that need it skip without it."""
RELEASE = SHARED / "data" / "layer_gradient"
"""A part of the paper's released files, in their own layout."""
GOLDEN = SHARED / "golden"
"""Numbers of the paper's released script."""
