"""How SLURM's accounting says that jobs ended. Many clusters have none, so nothing hangs on it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

ANSWER_SECONDS = 5.0
_TELLING = ("OUT_OF_MEMORY", "TIMEOUT", "CANCELLED", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL",
            "DEADLINE", "FAILED")  # fmt: skip
"""COMPLETED tells nothing about a job that its point says has not ended in order."""


def endings(elements: Sequence[str], since: str) -> dict[str, str]:
    """Element ("12_0") -> OUT_OF_MEMORY, TIMEOUT, …, as far as there is accounting and it knows.

    Args:
        elements: of job arrays.
        since: ISO time before they were submitted: by default sacct starts at midnight.
    """
    command = ["sacct", "--allocations", "--noheader", "--parsable2", "--format=JobID,State"]
    command += [f"--starttime={since[:19]}", f"--jobs={','.join(elements)}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return {}
    if answer.returncode:
        return {}
    lines = (line.split("|", 1) for line in answer.stdout.splitlines() if "|" in line)
    return {element: state.split()[0] for element, state in lines if state.startswith(_TELLING)}
