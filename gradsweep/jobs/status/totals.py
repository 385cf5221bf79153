"""Sums over points, in words."""

from __future__ import annotations

from collections.abc import Sequence

from gradsweep.jobs.status.efficiency import Efficiency
from gradsweep.jobs.status.lines import Line, State
from gradsweep.progress import duration_text


def total_text(lines: Sequence[Line]) -> str:
    """ "1200 of ≤4000 (30 %)": of points that are not done nobody knows what their data have."""
    stored = sum(line.n_stored for line in lines)
    if all(line.state is State.DONE for line in lines):
        return str(stored)
    total = sum(max(line.total or 0, line.n_stored) for line in lines)
    unknown = " or more" if any(line.total is None for line in lines) else ""
    share = f" ({100 * stored // total} %)" if total else ""
    return f"{stored} of ≤{total}{unknown}{share}"


def efficiency_text(efficiency: Efficiency) -> str:
    """The share of the jobs' time that went into samples which are stored."""
    wall, measuring = duration_text(efficiency.wall), duration_text(efficiency.measuring)
    if efficiency.share > 1:
        return f"{wall} in all, {measuring} of measuring, batches side by side"
    share = f"{100 * efficiency.share:.0f} %"
    return f"{wall}, {measuring} of it measuring ({share}); the rest: starting, loading, writing"
