"""Processes on this machine in place of a cluster; they outlive the command that started them."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from gradsweep.jobs.grouping import group_points
from gradsweep.jobs.records import (
    Array,
    JobPaths,
    Submission,
    SubmittedArray,
    Task,
    TaskKey,
    submitted_array,
)
from gradsweep.jobs.schedulers.slurm import job_command, submission_environment
from gradsweep.jobs.settings import LocalSettings
from gradsweep.plan import PlannedPoint
from gradsweep.records import Shard


class LocalScheduler:
    """One process for each task, all at once: there are no more tasks than wanted processes."""

    name = "local"

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings

    def arrays(self, points: Sequence[PlannedPoint]) -> tuple[Array, ...]:
        """One array, whose every task is a process with all the points that it will run."""
        shards = self._settings.shards
        processes = max(1, self._settings.array_parallelism // shards)
        share = self._settings.points_per_job or math.ceil(len(points) / processes)
        tasks = group_points(points, share)
        slots = [tasks[slot::processes] for slot in range(min(processes, len(tasks)))]
        joined = [
            Task(slot[0].model, tuple(i for task in slot for i in task.point_ids), Shard(i, shards))
            for slot in slots
            for i in range(shards)
        ]
        return (Array(0, len(joined), {}, tuple(joined)),)

    def live(self, known: Iterable[tuple[JobPaths, Submission]]) -> set[TaskKey]:
        """The processes that run on this machine."""
        return set(live_processes(known))

    def start(
        self, paths: JobPaths, submission: Submission, array: Array, earlier: Sequence[str]
    ) -> SubmittedArray:
        paths.logs.mkdir(parents=True, exist_ok=True)
        command = job_command(paths, submission, array.number)
        pids = []
        for task in range(len(array.tasks)):
            with paths.log(self.name, task).open("a") as log:
                process = subprocess.Popen(
                    [*command, str(task)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=submission_environment(os.environ),
                    start_new_session=True,
                )
            pids.append(process.pid)
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return SubmittedArray(array.number, self.name, now, tuple(pids))


def live_processes(known: Iterable[tuple[JobPaths, Submission]]) -> dict[TaskKey, int]:
    """The tasks of these submissions that run on this machine -> their process ids."""
    alive = {}
    for paths, submission in known:
        if submission.launcher != LocalScheduler.name or submission.host != socket.gethostname():
            continue
        for array in submission.arrays:
            started = submitted_array(paths, array.number)
            for task, pid in enumerate(started.process_ids if started else ()):
                if _runs(pid, paths.folder):
                    alive[submission.submission_id, array.number, task] = pid
    return alive


def _runs(pid: int, folder: Path) -> bool:
    """Numbers get reused: only a process of this submission counts; a zombie has no words."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return str(folder.absolute()).encode() in words
