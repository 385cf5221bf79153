"""Puts together where every point stands, from what is known of it, its files and its jobs."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradsweep.jobs.choice import choose
from gradsweep.jobs.queue import (
    Known,
    QueueAnswer,
    ask_queue,
    known_submissions,
    tasks_of,
)
from gradsweep.jobs.schedulers import scheduler_class
from gradsweep.jobs.schedulers.base import Phase
from gradsweep.jobs.status.efficiency import efficiency
from gradsweep.jobs.status.lines import Line, State, SweepStatus
from gradsweep.jobs.status.points import KnownPoint, known_points
from gradsweep.jobs.tasks import JobTask
from gradsweep.store import PointPaths, PointState, failure, point_state
from gradsweep.store.checksums import read_summary
from gradsweep.store.kept import save_kept
from gradsweep.store.lease import ahead, holder
from gradsweep.store.progress import Progress, ProgressReader
from gradsweep.store.state import sample_counts
from gradsweep.times import epoch

LOOKS = 5
"""Tries to look at files that change in the middle of it."""
QUEUE_SECONDS = 10.0
"""Time for a scheduler to answer somebody who wants to look."""


class Observer:
    """Looks at a results folder again and again; what cannot change is read once."""

    def __init__(
        self,
        results: Path,
        sweep: str | None = None,
        only: Collection[str] | None = None,
        words: Sequence[str] = (),
    ) -> None:
        """Keep to the points of `sweep`, to `only`, point ids, or to those that `words` mean."""
        self.results = results
        self._sweep = sweep
        self._only = only
        self._words = words
        self._reader = ProgressReader()
        self._done: dict[str, tuple[int, int, float]] = {}
        self._endings: dict[tuple[str, str], str] = {}

    def ask(self) -> QueueAnswer:
        """Ask where jobs are; who does not answer within a few seconds is named in the answer."""
        return ask_queue(known_submissions(self.results), seconds=QUEUE_SECONDS)

    def look(self, answer: QueueAnswer) -> SweepStatus:
        """Look at everything as it is now.

        Args:
            answer: of the queue, a moment ago.

        Raises:
            DataError: nothing was ever planned or started there, or there is no such sweep.
            ConfigError: a word that means no point.
        """
        for _ in range(LOOKS - 1):
            try:
                return self._look(answer)
            except FileNotFoundError:  # a point was finished between two looks at its folder
                continue
        return self._look(answer)

    def _look(self, answer: QueueAnswer) -> SweepStatus:
        known = known_submissions(self.results)
        points = self._points(known)
        states = {point.point_id: point_state(point.paths) for point in points}
        unfinished = [p.paths for p in points if states[p.point_id] is not PointState.DONE]
        progress = self._reader.read(unfinished)
        alive = {name for name, state in states.items() if state is PointState.RUNNING}
        tasks = tasks_of(self.results, known, answer, alive)
        holding = _holding(tasks)
        lines = [
            _line(p, states[p.point_id], progress[p.point_id], holding.get(p.point_id, []))
            if p.point_id in progress
            else self._done_line(p, holding.get(p.point_id, []))
            for p in points
        ]
        save_kept(self.results)
        names = {point.point_id for point in points}
        ours = tuple(task for task in tasks if names & set(task.task.point_ids))
        spent = {line.point_id: line.seconds for line in lines}
        # A scheduler that is silent about its queue would only be waited for.
        self._ask_endings([task for task in map(_lost, lines) if task], answer.silent)
        told = tuple(map(self._with_ending, lines))
        return SweepStatus(told, ours, efficiency(ours, spent), answer.complaint)

    def _points(self, known: Known) -> list[KnownPoint]:
        points = known_points(self.results, self._sweep, known)
        kept = [p for p in points if self._only is None or p.point_id in self._only]
        return choose(kept, self._words) if self._words else kept

    def _done_line(self, point: KnownPoint, tasks: Sequence[JobTask]) -> Line:
        if point.point_id not in self._done:
            self._done[point.point_id] = _summary(point.paths)
        n_samples, n_bad, seconds = self._done[point.point_id]
        last = _last(tasks)
        return Line(point, State.DONE, n_samples, n_bad, n_samples, seconds, None, last, "")

    def _ask_endings(self, lost: Sequence[JobTask], silent: Collection[str]) -> None:
        """Ask once about every job that was lost how it was ended."""
        new: dict[str, dict[str, JobTask]] = {}
        for task in lost:
            name = task.submission.launcher
            if name not in silent and (name, task.job_id) not in self._endings:
                new.setdefault(name, {})[task.job_id] = task
        for name, tasks in new.items():
            since = min(task.submission.written for task in tasks.values())
            endings = scheduler_class(name).endings(list(tasks), since)
            for job_id in tasks:
                self._endings[name, job_id] = endings.get(job_id, "")

    def _with_ending(self, line: Line) -> Line:
        task = _lost(line)
        ending = self._endings.get((task.submission.launcher, task.job_id)) if task else ""
        return replace(line, note=f"{ending}; {line.note}") if ending else line


def _lost(line: Line) -> JobTask | None:
    """The job that ended without a word, of a point that is lost with it."""
    return line.tasks[-1] if line.state is State.LOST and line.tasks else None


def _holding(tasks: Sequence[JobTask]) -> dict[str, list[JobTask]]:
    """Return point_id -> every task that has or had it, oldest first."""
    holding: dict[str, list[JobTask]] = {}
    for task in tasks:
        for point_id in task.task.point_ids:
            holding.setdefault(point_id, []).append(task)
    return holding


def _line(
    point: KnownPoint, stored: PointState, progress: Progress, tasks: Sequence[JobTask]
) -> Line:
    """The line of a point that is not done."""
    having = [task for task in tasks if point.point_id in task.left]
    live = [task for task in having if task.live]
    unknown = any(task.phase is Phase.UNKNOWN for task in having)
    state = _state(point.paths, stored, live, unknown)
    held = holder(point.paths.running) if stored is PointState.RUNNING else None
    outcomes = progress.outcomes
    return Line(
        point,
        state,
        len(outcomes),
        sum(not ok for ok, _ in outcomes.values()),
        point.n_samples,
        progress.seconds,
        progress.rate(_since(live, held), time.time()) if state is State.RUNNING else None,
        tuple(live) or _last(tasks),
        _note(point, state, live, tasks, held),
    )


def _last(tasks: Sequence[JobTask]) -> tuple[JobTask, ...]:
    """Pick of tasks that are over the one that had the point last."""
    started = [task for task in tasks if task.runs]
    return tuple((started or tasks)[-1:])


def _since(live: Sequence[JobTask], held: Mapping[str, Any] | None) -> float:
    """Time at which those who measure it now have begun."""
    starts = [task.last.started for task in live if task.last]
    starts = starts or ([held["since"]] if held and "since" in held else [])
    return min(map(epoch, starts), default=0.0)


def _state(paths: PointPaths, stored: PointState, live: Sequence[JobTask], unknown: bool) -> State:
    if stored is PointState.RUNNING or any(_works_on(task, paths.point_id) for task in live):
        return State.RUNNING
    if live:
        return State.QUEUED
    if stored is PointState.FAILED:
        return State.FAILED
    if _left_behind(paths):  # whoever ends in order removes its lease
        return State.LOST
    if unknown:
        return State.SUBMITTED
    return State.STOPPED if stored is PointState.STOPPED else State.NEW


def _left_behind(paths: PointPaths) -> list[Path]:
    """The leases that nobody alive holds; a point that several processes share has several."""
    return list(paths.folder.glob(f"{paths.running.name}*"))


def _works_on(task: JobTask, point_id: str) -> bool:
    """Whether the task is at this point; also while it loads data, before it takes the lease."""
    return task.phase is Phase.RUNNING and task.last is not None and task.last.current == point_id


def _note(
    point: KnownPoint,
    state: State,
    live: Sequence[JobTask],
    tasks: Sequence[JobTask],
    held: Mapping[str, Any] | None,
) -> str:
    if state is State.FAILED:
        failed = failure(point.paths) or {"error": "", "message": "the reason is gone"}
        return " ".join(f"{failed['error']}: {failed['message']}".split())
    if state is State.LOST:
        last = max(path.stat().st_mtime for path in _left_behind(point.paths))
        silent = (time.time() - last) / 60
        return f"its process ended without a word, {silent:.0f} min ago"
    if state is State.RUNNING and held and not live:
        never = ahead(point.paths.running, held)
        who = f"process {held.get('pid')} on {held.get('host')}"
        return f"outside of these jobs: {who}{never and '; '}{never}"
    if state is State.QUEUED:
        return live[-1].reason
    if state in (State.STOPPED, State.NEW) and tasks:
        if tasks[-1].paths.cancelled(point.point_id).exists():
            return "cancelled"
        return "its job has ended" if tasks[-1].runs else "its job never started"
    return ""


def _summary(paths: PointPaths) -> tuple[int, int, float]:
    """Count the samples, the bad ones and the seconds of a point that is done."""
    n_samples, n_bad = sample_counts(paths)
    return n_samples, n_bad, float(read_summary(paths).get("seconds", 0.0))
