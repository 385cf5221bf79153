"""The script of an array, by submitit, and how `plan` shows its options."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from gradsweep.errors import ConfigError
from gradsweep.jobs.schedulers.base import job_command
from gradsweep.jobs.schedulers.slurm.settings import SlurmSettings

if TYPE_CHECKING:
    from gradsweep.jobs.records import JobPaths, Submission
    from gradsweep.plan.grouping import Array

_OPTIONS = {"timeout_min": "time", "mem_gb": "mem", "tasks_per_node": "ntasks-per-node"}


def script_text(
    settings: SlurmSettings,
    paths: JobPaths,
    submission: Submission,
    array: Array,
    after: str | None,
) -> str:
    """The content of the script for sbatch.

    Args:
        settings: of the submission.
        paths: its files.
        submission: whose array it is.
        array: whose elements run it.
        after: the job id of an array that has to end first.

    Raises:
        ConfigError: an option that sbatch does not have.
    """
    from submitit import SlurmExecutor

    paths.logs.mkdir(parents=True, exist_ok=True)
    executor = SlurmExecutor(paths.logs)
    parameters = _parameters(settings, submission, array, after)
    try:
        executor.update_parameters(**executor._convert_parameters(parameters))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"hydra.launcher: {error}") from error
    executor.parameters["map_count"] = len(array.tasks)
    command = job_command(paths, submission, array.number)
    return executor._make_submission_file_text(shlex.join(command), submission.submission_id)


def _parameters(
    settings: SlurmSettings, submission: Submission, array: Array, after: str | None
) -> dict[str, Any]:
    resources = {name: value for name, value in array.resources.items() if name != "shards"}
    tasks, nodes = (resources.setdefault(name, 1) for name in ("tasks_per_node", "nodes"))
    # SLURM puts a job back into the queue after preemption and the loss of a node.
    options: dict[str, Any] = {"requeue": True}
    if settings.nice is not None:
        options["nice"] = settings.nice
    # With a whole node for each job, srun would fill it with copies of the task.
    step = [f"--nodes={nodes}", f"--ntasks={nodes * tasks}", "--kill-on-bad-exit=0"]
    # Since 22.05 a step no longer has the CPUs of its job unless it asks for them.
    if cpus := resources.get("cpus_per_task"):
        step.append(f"--cpus-per-task={cpus}")
    return resources | {
        "name": submission.job_name(array.number),
        "comment": settings.comment or f"gradsweep {submission.sweep}",
        "array_parallelism": array.throttle,
        "signal_delay_s": settings.signal_delay_s,
        "stderr_to_stdout": True,
        "srun_args": step,
        "additional_parameters": options | (resources.get("additional_parameters") or {}),
        **({"dependency": f"afterany:{after}"} if after else {}),
    }


def options_text(array: Array) -> str:
    """Options as sbatch spells them, with the ones that every job has."""
    options = ["--requeue", f"--array=0-{len(array.tasks) - 1}%{array.throttle}"]
    for name, value in array.resources.items():
        if name == "additional_parameters":
            options += [f"--{key}" + ("" if v is True else f"={v}") for key, v in value.items()]
        elif name == "shards":
            continue
        elif name == "setup":
            options.append(f"(and {len(value)} lines of setup)")
        else:
            number = f"{value:g}" if isinstance(value, float) else value
            unit = "GB" if name == "mem_gb" else ""
            options.append(f"--{_OPTIONS.get(name, name.replace('_', '-'))}={number}{unit}")
    return " ".join(options)
