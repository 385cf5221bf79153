"""SLURM's commands: what they are asked and how their answers are read."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradsweep.errors import SchedulerError
from gradsweep.jobs.schedulers.base import NAME_PREFIX

DEFAULT_MAX_ARRAY_SIZE = 1001
"""SLURM's own, where the configuration does not tell."""
ANSWER_SECONDS = 120.0
"""Time after which a command counts as unanswered; a busy controller takes its time."""
SILENT_SECONDS = 4.0
"""Silence after which the controller is asked whether it is there at all."""
PING_SECONDS = 4.0
"""Time for that answer. Both together are what somebody waits without a controller."""
ATTEMPTS = 3
"""Tries of a question that a busy controller drops; submitting is never tried twice."""
ACCOUNTING_SECONDS = 5.0
"""Time for sacct to answer: many clusters have no accounting, so nothing hangs on it."""
_TELLING = ("OUT_OF_MEMORY", "TIMEOUT", "CANCELLED", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL",
            "DEADLINE", "FAILED")  # fmt: skip
"""States of sacct that tell something. COMPLETED tells nothing about a job that its point says has
not ended in order."""
_FOREIGN = ("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_", "PMI_", "PMIX_")
_DEVICES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Queued:
    """An array element in the queue."""

    name: str
    """The job's name."""
    state: str
    """PENDING, RUNNING, … as squeue calls it."""
    reason: str
    """The reason why it waits; "None" of a running one."""


def queue(seconds: float | None = None) -> dict[str, Queued]:
    """This user's gradsweep jobs in the queue, by element ("12_0").

    Args:
        seconds: to wait, once; None asks again where no answer comes.

    Raises:
        SchedulerError: squeue does not answer; then nothing is known about any job.
    """
    elements = {}
    answer = ask("squeue", "--me", "--noheader", "--array", "--format=%i|%T|%j|%r", seconds=seconds)
    for line in answer.splitlines():
        element, state, name, reason = line.split("|", 3)
        if name.startswith(NAME_PREFIX) and "_" in element:
            elements[element] = Queued(name, state, reason)
    return elements


def max_array_size(seconds: float | None = None) -> int:
    """Elements that an array of this cluster may have.

    Args:
        seconds: to wait, once; None asks again where no answer comes.

    Raises:
        SchedulerError: no answer.
    """
    configuration = ask("scontrol", "show", "config", seconds=seconds)
    size = re.search(r"^MaxArraySize\s*=\s*(\d+)", configuration, re.M)
    return max(1, int(size[1])) if size else DEFAULT_MAX_ARRAY_SIZE


def submit_script(path: str) -> str:
    """The job id of the array that sbatch makes of this script; raises SchedulerError."""
    return run("sbatch", "--parsable", path).strip().split(";")[0]


def cancel_elements(elements: Sequence[str]) -> None:
    """End these array elements ("12_0"); those that are over already are no error.

    Raises:
        SchedulerError: scancel does not answer.
    """
    if elements:
        ask("scancel", "--quiet", *elements)


def requeue(element: str) -> str | None:
    """Put the element that calls this back into the queue; returns why SLURM refused.

    A raw job id would not do: an array's last one stands for all of it.
    """
    command = ["scontrol", "requeue", element]
    done = subprocess.run(command, capture_output=True, text=True)
    return f"{' '.join(command)}: {done.stderr.strip()}" if done.returncode else None


def endings(elements: Sequence[str], since: str) -> dict[str, str]:
    """Element ("12_0") -> OUT_OF_MEMORY, TIMEOUT, …, as far as there is accounting and it knows.

    Args:
        elements: of job arrays.
        since: ISO time before they were submitted: by default sacct starts at midnight.
    """
    command = ["sacct", "--allocations", "--noheader", "--parsable2", "--format=JobID,State"]
    command += [f"--starttime={since[:19]}", f"--jobs={','.join(elements)}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=ACCOUNTING_SECONDS)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return {}
    if answer.returncode:
        return {}
    lines = (line.split("|", 1) for line in answer.stdout.splitlines() if "|" in line)
    return {element: state.split()[0] for element, state in lines if state.startswith(_TELLING)}


def outside(environment: Mapping[str, str]) -> dict[str, str]:
    """Return these variables without what an enclosing job would hand down."""
    inside = "SLURM_JOB_ID" in environment
    return {
        name: value
        for name, value in environment.items()
        if name == "SLURM_CONF" or not (name.startswith(_FOREIGN) or (inside and name in _DEVICES))
    }


def ask(*command: str, seconds: float | None = None) -> str:
    """`run` of a question, which may be asked again unless somebody waits only `seconds`."""
    if seconds is not None:
        return run(*command, seconds=seconds)
    for _ in range(ATTEMPTS - 1):
        try:
            return run(*command)
        except SchedulerError:
            if _silence():
                raise  # nobody is there to be asked again
            time.sleep(1)
    return run(*command)


def run(*command: str, seconds: float = ANSWER_SECONDS) -> str:
    """The output of one of SLURM's commands, which outlives us: no job is half submitted.

    A question is given up within ten seconds when no controller is there. Submitting is not: the
    job may have been taken.

    Raises:
        SchedulerError: there is no such command, it does not answer, or it refuses.
    """
    try:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=outside(os.environ),
            start_new_session=True,
        )
    except FileNotFoundError:
        raise SchedulerError(
            f"there is no {command[0]} here; use hydra/launcher=slurm and its jobs on a login "
            "node of the cluster; without one there is hydra/launcher=local"
        ) from None
    with process:
        try:
            output, complaint = _communicate(process, command[0], seconds)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise SchedulerError(f"{' '.join(command)}: {complaint.strip() or output.strip()}")
    return output


def _communicate(process: subprocess.Popen[str], name: str, seconds: float) -> tuple[str, str]:
    """Wait for what a command prints; raises SchedulerError when nothing comes."""
    try:
        return process.communicate(timeout=min(seconds, SILENT_SECONDS))
    except subprocess.TimeoutExpired:
        patience = max(0.0, seconds - SILENT_SECONDS)
    if patience and (silence := _silence()) and name != "sbatch":
        raise SchedulerError(f"{name} does not answer: {silence}")
    if patience:
        from gradsweep.progress import console

        note = f"{name} has not answered for {SILENT_SECONDS:.0f} s; waiting up to {seconds:.0f} s"
        console.print(f"{note}, Ctrl-C ends that", soft_wrap=True)
    try:
        return process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        raise SchedulerError(
            f"{name} has not answered for {seconds:.0f} s; nothing is lost: "
            "run the same command again when SLURM is back"
        ) from None


def _silence() -> str:
    """Why no controller is there to answer anything; empty where one is."""
    try:
        ping = subprocess.run(
            ["scontrol", "ping"],
            capture_output=True,
            text=True,
            timeout=PING_SECONDS,
            env=outside(os.environ),
        )
        answer = ping.stdout.strip() or ping.stderr.strip()
    except (OSError, subprocess.TimeoutExpired):
        answer = ""
    if re.search(r"\bUP\b", answer):
        return ""
    told = f" ({' '.join(answer.split())})" if answer else ""
    return (
        f"no controller of SLURM is there, says `scontrol ping`{told}; nothing is lost: run the "
        "same command again when it says UP; without a cluster there is hydra/launcher=local"
    )
