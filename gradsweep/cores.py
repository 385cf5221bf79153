"""How many cores of the machine are this process's."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Return how many cores this process may run on: a job on a cluster may have fewer than its
    machine, and a container's share of time may be smaller still."""
    if hasattr(os, "sched_getaffinity"):  # macOS does not say
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
