"""What a terminal would show, as the text of a file."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console, RenderableType

WIDTH = 110
"""Columns of the text."""


def plain_text(shown: Iterable[RenderableType]) -> str:
    """Draw everything one below the other, without colours."""
    file = io.StringIO()
    console = Console(file=file, width=WIDTH, color_system=None)
    for each in shown:
        console.print(each)
    return file.getvalue()
