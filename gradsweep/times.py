"""Times as records have them, ISO 8601 to the second with the zone; and spans of time in words."""

from __future__ import annotations

import time
from datetime import datetime

_FORMAT = "%Y-%m-%dT%H:%M:%S%z"


def timestamp() -> str:
    """Write the present time."""
    return time.strftime(_FORMAT)


def epoch(text: str) -> float:
    """Read a record's time, in seconds since the epoch."""
    return datetime.strptime(text, _FORMAT).timestamp()


def duration_text(seconds: float) -> str:
    """Write a span of time to about two digits."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
