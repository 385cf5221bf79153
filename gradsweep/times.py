"""Times as records have them: ISO 8601 to the second, with the zone."""

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
