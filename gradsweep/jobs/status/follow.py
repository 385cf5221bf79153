"""The table of a sweep until nothing waits or runs: live, or in a log a line now and then."""

from __future__ import annotations

import time

from rich.live import Live

from gradsweep.jobs.status.lines import SweepStatus, total_text
from gradsweep.jobs.status.observer import Observer
from gradsweep.jobs.status.table import fitting_table
from gradsweep.progress import LOG_LINE_SECONDS, console
from gradsweep.times import duration_text

LOOK_SECONDS = 2.0
"""Pause between two looks at the files."""
QUEUE_SECONDS = 10.0
"""Pause between two looks at the queue: a shared controller is not asked more often."""
SILENT_QUEUE_SECONDS = 60.0
"""The same pause where the controller does not answer."""


def follow(observer: Observer, name: str, seconds: float = LOOK_SECONDS) -> None:
    """Return when no point waits or runs any more; interrupting it ends no job.

    Args:
        observer: of the points.
        name: of the sweep or folder, for lines in a log.
        seconds: between two looks at the files.
    """
    asked = printed = float("-inf")
    pause = 0.0
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            now = time.monotonic()
            if now - asked >= pause:
                asked, answer = now, observer.ask()
                pause = SILENT_QUEUE_SECONDS if answer.complaint else QUEUE_SECONDS
            status = observer.look(answer)
            if console.is_terminal:
                live.update(fitting_table(status, console), refresh=True)
            elif now - printed >= LOG_LINE_SECONDS or status.over:
                printed = now
                console.print(f"{name}: {log_line(status)}", soft_wrap=True)
            if status.over:
                return
            time.sleep(seconds)


def log_line(status: SweepStatus) -> str:
    """Sum up everything in one line."""
    counts = ", ".join(f"{n} {state.value}" for state, n in status.counts.items())
    left = status.left_seconds
    soon = f" · about {duration_text(left)} left" if left else ""
    silent = f" · {status.complaint}" if status.complaint else ""
    return f"{counts} · samples {total_text(status.lines)}{soon}{silent}"
