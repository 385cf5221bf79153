"""SLURM through sbatch, squeue and scontrol; scripts by submitit. Accounting is never asked.

What the scheduler says is only a hint of what is queued or running. Whether a point is done
is read from its files.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradsweep.errors import ConfigError, SchedulerError
from gradsweep.jobs.grouping import group_points, make_arrays, resources
from gradsweep.jobs.records import (
    NAME_PREFIX,
    Array,
    JobPaths,
    Submission,
    SubmittedArray,
    TaskKey,
    submitted_array,
    write_submitted_array,
)
from gradsweep.jobs.settings import SlurmSettings
from gradsweep.jobs.snapshot import RUNNER
from gradsweep.plan import PlannedPoint
from gradsweep.store.atomic import write_text

POINTS_PER_JOB = 8
"""Unless said otherwise: loading weights is then a small part of a job."""
DEFAULT_MAX_ARRAY_SIZE = 1001
"""SLURM's own, where the configuration does not tell."""
ANSWER_SECONDS = 120.0
"""After which SLURM's commands count as unanswered; a busy controller takes its time."""
ATTEMPTS = 3
"""At a question that a busy controller drops; submitting is never tried twice."""
_DEVICES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


class SlurmScheduler:
    """Starts arrays and knows which of their tasks are in the queue."""

    name = "slurm"

    def __init__(self, settings: SlurmSettings) -> None:
        self._settings = settings

    def arrays(
        self, points: Sequence[PlannedPoint], max_array_size: int | None = None
    ) -> tuple[Array, ...]:
        """Tasks of points of one model, in arrays of equal resources that the cluster takes.

        The cluster is asked for its limit where `max_array_size` is None.
        """
        tasks = group_points(
            points,
            self._settings.points_per_job or POINTS_PER_JOB,
            lambda model: resources(self._settings, model)["shards"],
        )
        return make_arrays(tasks, self._settings, max_array_size or self.max_array_size())

    def max_array_size(self, seconds: float | None = None) -> int:
        """Elements that an array of this cluster may have; with `seconds`, asked once for so long.

        Raises:
            SchedulerError: no answer.
        """
        question = ("scontrol", "show", "config")
        said = _asked(*question) if seconds is None else _answer(*question, seconds=seconds)
        found = re.search(r"^MaxArraySize\s*=\s*(\d+)", said, re.M)
        return max(1, int(found[1])) if found else DEFAULT_MAX_ARRAY_SIZE

    def live(self, known: Iterable[tuple[JobPaths, Submission]]) -> set[TaskKey]:
        """All tasks that wait, run or wait to run again."""
        return set(queued_tasks(known, queue()))

    def start(
        self, paths: JobPaths, submission: Submission, array: Array, earlier: Sequence[str]
    ) -> SubmittedArray:
        """Hand one array to sbatch; `earlier` are the job ids of the arrays before it.

        Raises:
            SchedulerError: sbatch refuses it, with its words.
            ConfigError: an option that sbatch does not have.
        """
        script = paths.script(array.number)
        after = earlier[array.after] if array.after is not None else None
        write_text(script, self._script(paths, submission, array, after))
        said = _answer("sbatch", "--parsable", str(script))
        return SubmittedArray(array.number, said.strip().split(";")[0], _now())

    def _script(
        self, paths: JobPaths, submission: Submission, array: Array, after: str | None
    ) -> str:
        from submitit import SlurmExecutor

        paths.logs.mkdir(parents=True, exist_ok=True)
        executor = SlurmExecutor(paths.logs)
        parameters = self._parameters(submission, array, after)
        try:
            executor.update_parameters(**executor._convert_parameters(parameters))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"hydra.launcher: {error}") from error
        executor.parameters["map_count"] = len(array.tasks)
        command = job_command(paths, submission, array.number)
        return executor._make_submission_file_text(shlex.join(command), submission.submission_id)

    def _parameters(
        self, submission: Submission, array: Array, after: str | None
    ) -> dict[str, Any]:
        wanted = {name: value for name, value in array.resources.items() if name != "shards"}
        tasks = wanted.setdefault("tasks_per_node", 1)
        # SLURM puts a job back into the queue after preemption and the loss of a node.
        options: dict[str, Any] = {"requeue": True}
        if self._settings.nice is not None:
            options["nice"] = self._settings.nice
        # With a whole node for each job, srun would fill it with copies of the task.
        step = ["--nodes=1", f"--ntasks={tasks}", "--kill-on-bad-exit=0"]
        # Since 22.05 a step no longer has the CPUs of its job unless it asks for them.
        if cpus := wanted.get("cpus_per_task"):
            step.append(f"--cpus-per-task={cpus}")
        return wanted | {
            "name": submission.job_name(array.number),
            "comment": self._settings.comment or f"gradsweep {submission.sweep}",
            "array_parallelism": array.throttle,
            "signal_delay_s": self._settings.signal_delay_s,
            "stderr_to_stdout": True,
            "nodes": 1,
            "srun_args": step,
            "additional_parameters": options | (wanted.get("additional_parameters") or {}),
            **({"dependency": f"afterany:{after}"} if after else {}),
        }


def job_command(paths: JobPaths, submission: Submission, array: int) -> list[str]:
    """The command of every job of an array, without its task."""
    start = [sys.executable, "-u"]
    if submission.snapshot:
        start.append(str(Path(submission.snapshot) / RUNNER))
    else:
        start += ["-m", "gradsweep.jobs.run"]
    return [*start, str(paths.folder.absolute()), str(array)]


@dataclass(frozen=True)
class Queued:
    """An array element in the queue."""

    name: str
    """Of the job."""
    state: str
    """PENDING, RUNNING, … as squeue calls it."""
    reason: str
    """Why it waits; of a running one, "None"."""


def queue(seconds: float = ANSWER_SECONDS, attempts: int = ATTEMPTS) -> dict[str, Queued]:
    """This user's gradsweep jobs in the queue, by element ("12_0").

    Args:
        seconds: for an answer to come.
        attempts: before giving up.

    Raises:
        SchedulerError: squeue does not answer; then nothing is known about any job.
    """
    command = ("squeue", "--me", "--noheader", "--array", "--format=%i|%T|%j|%r")
    found = {}
    for line in _asked(*command, seconds=seconds, attempts=attempts).splitlines():
        element, state, name, reason = line.split("|", 3)
        if name.startswith(NAME_PREFIX) and "_" in element:
            found[element] = Queued(name, state, reason)
    return found


def queued_tasks(
    known: Iterable[tuple[JobPaths, Submission]], queued: Mapping[str, Queued]
) -> dict[TaskKey, tuple[str, Queued]]:
    """The tasks of these submissions that are in the queue -> their elements.

    An array that is in the queue although nobody has written its number down (the command
    was killed just then) gets its record now.
    """
    of_name: dict[str, list[str]] = {}
    for element, job in queued.items():
        of_name.setdefault(job.name, []).append(element)
    found = {}
    for paths, submission in known:
        for array in submission.arrays:
            elements = of_name.get(submission.job_name(array.number), [])
            if elements and submitted_array(paths, array.number) is None:
                job_id = elements[0].split("_")[0]
                write_submitted_array(paths, SubmittedArray(array.number, job_id, _now()))
            for element in elements:
                key = (submission.submission_id, array.number, int(element.split("_")[1]))
                found[key] = (element, queued[element])
    return found


def cancel_elements(elements: Sequence[str]) -> None:
    """End these array elements ("12_0"); those that are over already are no error.

    Raises:
        SchedulerError: scancel does not answer.
    """
    if elements:
        _asked("scancel", "--quiet", *elements)


def submission_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what an enclosing job would hand down to the jobs that it submits."""
    inside = "SLURM_JOB_ID" in environment
    foreign = ("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_", "PMI_", "PMIX_")
    return {
        name: value
        for name, value in environment.items()
        if name == "SLURM_CONF" or not (name.startswith(foreign) or (inside and name in _DEVICES))
    }


def _asked(*command: str, seconds: float = ANSWER_SECONDS, attempts: int = ATTEMPTS) -> str:
    """`_answer` of a question, which may be asked again."""
    for _ in range(attempts - 1):
        try:
            return _answer(*command, seconds=seconds)
        except SchedulerError:
            time.sleep(1)
    return _answer(*command, seconds=seconds)


def _answer(*command: str, seconds: float = ANSWER_SECONDS) -> str:
    """What one of SLURM's commands prints; it outlives ours, so that a job is never half sent."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds,
            env=submission_environment(os.environ),
            start_new_session=True,
        )
    except FileNotFoundError:
        raise SchedulerError(
            f"there is no {command[0]} here; use hydra/launcher=slurm and its jobs on a login "
            "node of the cluster; without one there is hydra/launcher=local"
        ) from None
    except subprocess.TimeoutExpired:
        raise SchedulerError(
            f"{command[0]} has not answered for {seconds:.0f} s; nothing is lost: "
            "run the same command again when SLURM is back"
        ) from None
    if done.returncode:
        raise SchedulerError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
