"""How long jobs take from the first start to the last end, when all that are allowed run."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def makespan(seconds: Sequence[float], at_once: int) -> float:
    """Of jobs that start in this order, each as soon as one of `at_once` places is free."""
    free = [0.0] * max(1, min(at_once, len(seconds)))
    for one in seconds:
        heapq.heapreplace(free, free[0] + one)
    return max(free)
