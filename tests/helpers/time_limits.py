"""Time limits of SLURM jobs, and its warning before them."""

from __future__ import annotations

import signal
from pathlib import Path

from helpers.slurm_grid import slurm


def set_limit(element: str, minutes: int) -> None:
    slurm("scontrol", "update", f"JobId={element}", f"TimeLimit={minutes}")


def minutes_until_a_warning(element: str) -> int:
    """A limit that leaves 90 to 150 s: the warning comes 60 s ahead, at SLURM's next look, and
    leaves the test half a minute at least to see it before the job is killed."""
    used = slurm("squeue", "-h", "-j", element, "-O", "TimeUsed").strip()
    seconds = sum(int(part) * 60**i for i, part in enumerate(reversed(used.split(":"))))
    return (seconds + 90) // 60 + 1


def warned(process: int) -> bool:
    """Whether SLURM's signal waits for a stopped process, or has woken it up already."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return True
    found = dict(line.split(":", 1) for line in lines)
    pending = int(found["SigPnd"], 16) | int(found["ShdPnd"], 16)
    return "T" not in found["State"] or bool(pending >> (signal.SIGUSR2 - 1) & 1)
