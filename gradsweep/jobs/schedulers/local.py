"""Processes on this machine in place of a cluster; they outlive the command that started them."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gradsweep.errors import ConfigError
from gradsweep.jobs.schedulers.base import (
    LaunchSettings,
    Phase,
    Scheduler,
    TaskState,
    job_command,
)
from gradsweep.times import timestamp

if TYPE_CHECKING:
    from gradsweep.config import Config
    from gradsweep.jobs.records import JobPaths, Submission, SubmittedArray, TaskKey
    from gradsweep.jobs.tasks import JobTask
    from gradsweep.plan import PlannedPoint
    from gradsweep.plan.estimate import Hardware
    from gradsweep.plan.grouping import Array


@dataclass
class LocalSettings(LaunchSettings):
    """Fields of `hydra/launcher=local`."""


class LocalScheduler(Scheduler[LocalSettings]):
    """One process for each task, all at once: there are no more tasks than `array_parallelism`."""

    name = "local"
    settings_class = LocalSettings
    answers_by = "/proc"
    asks_a_service = False
    shared = False

    def hardware(self, config: Config) -> Hardware:
        """This machine, whose cores the processes share."""
        from gradsweep.plan.estimate import this_machine

        machine = this_machine(config.gradients.device)
        cores = (machine.cores or 1) // self.settings.array_parallelism
        return replace(machine, cores=max(1, cores))

    def arrays(self, points: Sequence[PlannedPoint]) -> tuple[Array, ...]:
        """One array, whose every task is a process with all the points that it will run."""
        from gradsweep.plan.grouping import Array, Task, group_points
        from gradsweep.records import Shard

        shards = self.settings.shards
        processes = max(1, self.settings.array_parallelism // shards)
        share = self.settings.points_per_job or math.ceil(len(points) / processes)
        tasks = group_points(points, share)
        slots = [tasks[slot::processes] for slot in range(min(processes, len(tasks)))]
        joined = [
            Task(slot[0].model, tuple(i for task in slot for i in task.point_ids), Shard(i, shards))
            for slot in slots
            for i in range(shards)
        ]
        return (Array(0, len(joined), {}, tuple(joined)),)

    def check(self, points: Sequence[PlannedPoint]) -> None:
        """All processes run at once, so each has its part of this machine's memory."""
        from gradsweep.plan.fit import require_memory

        if any(point.config.model.placement for point in points):
            raise ConfigError(
                "hydra/launcher=local starts processes that share no model, and model.placement="
                "fsdp asks for that: type torchrun --nproc-per-node=<GPUs> -m gradsweep … without "
                "a launcher, or hydra/launcher=slurm"
            )
        processes = sum(len(array.tasks) for array in self.arrays(points))

        def part(config: Config) -> Hardware:
            machine = self.hardware(config)
            if machine.memory_gb is None:
                return machine
            return replace(machine, memory_gb=machine.memory_gb / processes, sharers=processes)

        if self.settings.check_memory:
            require_memory(points, part)

    def array_name(self, array: Array) -> str:
        return "processes"

    def summary(self, arrays: Sequence[Array]) -> str:
        return f"{sum(len(array.tasks) for array in arrays)} processes on this machine"

    def start(
        self, paths: JobPaths, submission: Submission, array: Array, earlier: Sequence[str]
    ) -> SubmittedArray:
        from gradsweep.jobs.records import SubmittedArray
        from gradsweep.jobs.schedulers import submission_environment

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
        return SubmittedArray(array.number, self.name, timestamp(), tuple(pids))

    @classmethod
    def live(
        cls, known: Sequence[tuple[JobPaths, Submission]], seconds: float | None = None
    ) -> dict[TaskKey, TaskState]:
        """The processes that run on this machine; those of another host cannot be told."""
        from gradsweep.jobs.records import submitted_array

        states = {}
        for paths, submission in known:
            here = submission.host == socket.gethostname()
            for array in submission.arrays:
                started = submitted_array(paths, array.number)
                pids = started.process_ids if started else ()
                for task in range(len(array.tasks)):
                    key = (submission.submission_id, array.number, task)
                    if not here:
                        states[key] = TaskState(Phase.UNKNOWN)
                    elif task < len(pids) and _runs(pids[task], paths.folder):
                        states[key] = TaskState(Phase.RUNNING)
        return states

    @classmethod
    def cancel(cls, tasks: Sequence[JobTask]) -> list[str]:
        problems = []
        for task in tasks:
            if task.submission.host != socket.gethostname():
                problems.append(
                    f"process {task.job_id} is on {task.submission.host}: it will find its points "
                    "cancelled when it looks, after the current batch"
                )
            elif task.job_id and _runs(int(task.job_id), task.paths.folder):
                with suppress(ProcessLookupError):  # it has just ended
                    os.kill(int(task.job_id), signal.SIGTERM)
        return problems


def _runs(pid: int, folder: Path) -> bool:
    """Whether this process is of this submission: numbers get reused; a zombie has no words."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return str(folder.absolute()).encode() in words
