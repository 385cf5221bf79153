"""File names of a report's tables and figures."""

from __future__ import annotations

import re


def file_stem(*names: str) -> str:
    """`names` joined by two underscores, with nothing that a file name must not have."""
    return re.sub(r"[^\w.+=-]+", "-", "__".join(names))
