"""SLURM as a scheduler.

Its word is only a hint of what is queued or running. Whether a point is done is read from its
files.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gradsweep.errors import ConfigError, SchedulerError, counted
from gradsweep.jobs.place import Place
from gradsweep.jobs.schedulers.base import Phase, Scheduler, TaskState
from gradsweep.jobs.schedulers.slurm import commands
from gradsweep.jobs.schedulers.slurm.script import options_text, script_text
from gradsweep.jobs.schedulers.slurm.settings import SlurmSettings
from gradsweep.times import timestamp

if TYPE_CHECKING:
    from gradsweep.config import Config
    from gradsweep.jobs.records import JobPaths, Submission, SubmittedArray, TaskKey
    from gradsweep.jobs.tasks import JobTask
    from gradsweep.plan import PlannedPoint
    from gradsweep.plan.estimate import Hardware
    from gradsweep.plan.grouping import Array, Foreseen

POINTS_PER_JOB = 8
"""The default, with which loading weights is a small part of a job."""
PATIENCE_SECONDS = 1.5
"""Time for SLURM's answer about arrays when a plan asks, which is a quick look."""
_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")
"""States of squeue in which a job has no process."""


class SlurmScheduler(Scheduler[SlurmSettings]):
    """SLURM job arrays, one element for each task."""

    name = "slurm"
    settings_class = SlurmSettings
    answers_by = "squeue"
    requeues = True

    def hardware(self, config: Config) -> Hardware:
        """Say what a job of a point has; raises ConfigError where processes that share out weights
        would not have a GPU each."""
        from gradsweep.plan.estimate import Hardware

        resources = self.settings.resources(config.model.name)
        processes = resources["tasks_per_node"]
        nodes = resources.get("nodes", 1)
        ranks = processes * nodes
        gpus = resources.get("gpus_per_node") or _gpus_in_gres(resources.get("gres"))
        cores = resources.get("cpus_per_task")
        memory = resources["mem_gb"] / processes if "mem_gb" in resources else None
        if not gpus or config.gradients.device == "cpu":
            return Hardware("cpu", None, memory, cores=cores, ranks=ranks, nodes=nodes)
        if config.model.placement and int(gpus) < processes:
            raise _too_few_gpus(config.model.name, int(gpus), processes)
        gpu = self.settings.gpu_of(config.model.name)
        return Hardware(
            "cuda",
            gpu.get("gpu"),
            gpu.get("gpu_memory_gb"),
            max(1, int(gpus) // processes),
            cores,
            host_gb=resources.get("mem_gb") if config.model.placement else memory,
            ranks=ranks,
            nodes=nodes,
        )

    def arrays(self, points: Sequence[PlannedPoint]) -> tuple[Array, ...]:
        """Tasks of points of one model, in arrays of equal resources that the cluster takes."""
        return self._arrays(points, commands.max_array_size())

    def foresee(self, points: Sequence[PlannedPoint]) -> Foreseen:
        from gradsweep.plan.grouping import Foreseen

        try:
            there = shutil.which("scontrol") is not None
            limit = commands.max_array_size(PATIENCE_SECONDS) if there else None
        except SchedulerError:
            limit = None  # a plan does without the answer, and says so
        caveat = "" if limit else "no SLURM answers here: its default MaxArraySize"
        return Foreseen(self._arrays(points, limit or commands.DEFAULT_MAX_ARRAY_SIZE), caveat)

    def _arrays(self, points: Sequence[PlannedPoint], max_array_size: int) -> tuple[Array, ...]:
        from gradsweep.plan.grouping import group_points, make_arrays

        settings = self.settings
        tasks = group_points(
            points,
            settings.points_per_job or POINTS_PER_JOB,
            lambda model: settings.resources(model)["shards"],
        )
        return make_arrays(tasks, settings.resources, settings.array_parallelism, max_array_size)

    def processes(self, array: Array) -> int:
        resources = array.resources
        return int(resources.get("tasks_per_node", 1)) * int(resources.get("nodes", 1))

    def time_limit(self, array: Array) -> float | None:
        return int(array.resources.get("timeout_min", self.settings.timeout_min)) * 60.0

    def options(self, array: Array) -> dict[str, str]:
        return {"sbatch": options_text(array)}

    def summary(self, arrays: Sequence[Array]) -> str:
        n_jobs = sum(len(array.tasks) for array in arrays)
        count = counted(len(arrays), "array")
        return f"{n_jobs} in {count}, {self.settings.array_parallelism} at a time"

    @property
    def max_restarts(self) -> int:
        return self.settings.max_restarts

    def start(
        self, paths: JobPaths, submission: Submission, array: Array, earlier: Sequence[str]
    ) -> SubmittedArray:
        from gradsweep.jobs.records import SubmittedArray
        from gradsweep.store.atomic import write_text

        script = paths.script(array.number)
        after = earlier[array.after] if array.after is not None else None
        write_text(script, script_text(self.settings, paths, submission, array, after))
        return SubmittedArray(array.number, commands.submit_script(str(script)), timestamp())

    @classmethod
    def live(
        cls, known: Sequence[tuple[JobPaths, Submission]], seconds: float | None = None
    ) -> dict[TaskKey, TaskState]:
        """The tasks in the queue, which are found by their jobs' names."""
        of_name: dict[str, list[tuple[str, commands.Queued]]] = {}
        for element, job in commands.queue(seconds).items():
            of_name.setdefault(job.name, []).append((element, job))
        states = {}
        for paths, submission in known:
            for array in submission.arrays:
                elements = of_name.get(submission.job_name(array.number), [])
                _note_number(paths, array.number, elements)
                for element, job in elements:
                    key = (submission.submission_id, array.number, int(element.split("_")[1]))
                    states[key] = _state(job)
        return states

    @classmethod
    def endings(cls, job_ids: Sequence[str], since: str) -> dict[str, str]:
        states = commands.endings(job_ids, since)
        return {job_id: f"{state}, says sacct" for job_id, state in states.items()}

    @classmethod
    def cancel(cls, tasks: Sequence[JobTask]) -> list[str]:
        elements = [task.job_id for task in tasks if task.job_id]
        try:
            commands.cancel_elements(elements)
        except SchedulerError as error:
            return [
                f"{error}; the jobs will find their points cancelled when they look; "
                f"when SLURM is back: scancel {' '.join(elements)}"
            ]
        return []

    @classmethod
    def place(cls, environment: Mapping[str, str]) -> Place:
        array = environment.get("SLURM_ARRAY_JOB_ID")
        node = environment.get("SLURMD_NODENAME") or socket.gethostname()
        if array is None:  # somebody runs the job's command by hand
            return Place(str(os.getpid()), node)
        task = environment["SLURM_ARRAY_TASK_ID"]
        return Place(
            f"{array}_{task}",
            node,
            int(environment.get("SLURM_PROCID", 0)),
            int(environment.get("SLURM_STEP_NUM_TASKS", 1)),
            int(task),
            int(environment.get("SLURM_STEP_NUM_NODES", 1)),
        )

    @classmethod
    def requeue(cls, job_id: str) -> str | None:
        return commands.requeue(job_id)

    @classmethod
    def outside(cls, environment: Mapping[str, str]) -> dict[str, str]:
        return commands.outside(environment)


def _state(job: commands.Queued) -> TaskState:
    if job.state in _WAITING:
        return TaskState(Phase.WAITING, "" if job.reason == "None" else job.reason)
    return TaskState(Phase.RUNNING)


def _note_number(
    paths: JobPaths, array: int, elements: Sequence[tuple[str, commands.Queued]]
) -> None:
    """Write the record of an array that is in the queue although nobody has written its number
    down: the command was killed just then."""
    from gradsweep.jobs.records import SubmittedArray, submitted_array, write_submitted_array

    if elements and submitted_array(paths, array) is None:
        job_id = elements[0][0].split("_")[0]
        write_submitted_array(paths, SubmittedArray(array, job_id, timestamp()))


def _too_few_gpus(model: str, gpus: int, processes: int) -> ConfigError:
    pattern = model.replace(".", "?")  # Hydra's grammar has no dots in keys
    setting = f"+hydra.launcher.per_model={{{pattern}:{{gpus_per_node:{processes}}}}}"
    return ConfigError(
        f"hydra.launcher.tasks_per_node={processes}: with model.placement=fsdp each process takes "
        f"a GPU, and on a node jobs of {model} have {gpus}, by hydra.launcher.gpus_per_node or "
        f"per_model: type hydra.launcher.tasks_per_node={gpus}, or '{setting}'"
    )


def _gpus_in_gres(gres: str | None) -> int:
    """`gpu:a100:2` -> 2; 0 without a GPU."""
    for entry in (gres or "").split(","):
        name, *rest = entry.split(":")
        if name == "gpu":
            return int(rest[-1]) if rest and rest[-1].isdigit() else 1
    return 0
