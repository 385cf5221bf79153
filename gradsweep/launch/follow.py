"""Following jobs until they end, as a live table or, in a log, as a line now and then."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from rich.live import Live
from rich.table import Table

from gradsweep.launch.submit import Scheduler, live_tasks
from gradsweep.progress import LOG_LINE_SECONDS, console
from gradsweep.store import PointPaths, PointState, point_state
from gradsweep.sweep import Plan

LOOK_SECONDS = 2.0
"""Between two looks at the files."""
QUEUE_SECONDS = 10.0
"""Between two looks at the queue: a shared controller is not asked more often."""


def follow(plan: Plan, scheduler: Scheduler) -> None:
    """Return when no point of the plan waits or runs any more; interrupting it ends no job."""
    results = Path(plan.results)
    ids = [point.point_id for point in plan.points]
    waiting = set(ids)
    asked = said = 0.0
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while waiting:
            now = time.monotonic()
            if not asked or now - asked >= QUEUE_SECONDS:
                asked, queued = now, set(live_tasks(results, scheduler))
            states = {i: point_state(PointPaths(results, i)) for i in ids}
            waiting = {i for i in ids if states[i] is PointState.RUNNING or i in queued}
            waiting -= {i for i in ids if states[i] is PointState.DONE}
            counts = Counter(_state(states[i], i in waiting) for i in ids)
            if console.is_terminal:
                live.update(_table(plan, counts), refresh=True)
            elif not said or now - said >= LOG_LINE_SECONDS or not waiting:
                said = now
                console.print(f"{plan.name}: {_counted(counts)}", soft_wrap=True)
            if waiting:
                time.sleep(LOOK_SECONDS)


def _state(state: PointState, waiting: bool) -> str:
    """A point that is queued has no process yet, or not any more."""
    unfinished = state in (PointState.NEW, PointState.STOPPED, PointState.FAILED)
    return "queued" if waiting and unfinished else state.value


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {state}" for state, n in sorted(counts.items()))


def _table(plan: Plan, counts: Counter[str]) -> Table:
    table = Table("sweep", *sorted(counts))
    table.add_row(plan.name, *(str(counts[state]) for state in sorted(counts)))
    return table
