"""Records that submissions and jobs write. From these files and the queue alone follow `status`,
`logs`, `retry`, `cancel` and the decision not to submit a point twice.

results/sweeps/<sweep>/jobs/<submission_id>/
    submission.json             Submission: written before anything is submitted, never changed
    points/<point_id>.yaml      the frozen config of each point, as its own config.yaml will be
    arrays/<n>.json             SubmittedArray: written when the scheduler has taken array n
    runs/<array>-<task>-<k>-<p>.json  TaskRun: k-th start of process p of a task, by the job itself
    cancelled/<point_id>        the jobs of this submission shall not run this point (any more)
    logs/                       what jobs print: `JobPaths.log`
    sbatch/<n>.sh               the scripts
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from gradsweep.jobs.schedulers.base import NAME_PREFIX
from gradsweep.plan.grouping import Array, Task
from gradsweep.records import WHOLE, Shard
from gradsweep.store.atomic import write_json
from gradsweep.store.paths import SweepPaths

TaskKey = tuple[str, int, int]
"""(submission_id, array, task)."""


@dataclass(frozen=True)
class Submission:
    """One command that submitted jobs. The intent: an array of it may never have been taken."""

    submission_id: str
    """Eight hex digits."""
    sweep: str
    launcher: str
    """Name of the scheduler."""
    written: str
    """ISO time with zone."""
    host: str
    """The machine on which it was submitted."""
    working_folder: str
    command: tuple[str, ...]
    versions: dict[str, str]
    code: str
    """Digest of the package's source when it was submitted."""
    snapshot: str | None
    """Folder of the copy that the jobs run; None runs the installed package."""
    max_restarts: int
    arrays: tuple[Array, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    """`hydra.launcher.*` as it was, from which the same jobs can be submitted again."""

    def job_name(self, array: int) -> str:
        """Unique to this array: how the queue is searched for it."""
        return f"{NAME_PREFIX}{self.submission_id}-{array}"


@dataclass(frozen=True)
class SubmittedArray:
    """The scheduler's answer."""

    number: int
    job_id: str
    """The scheduler's name of the array; task t is `<job_id>_<t>`."""
    submitted: str
    process_ids: tuple[int, ...] = ()
    """Process id of each task, where tasks are processes of a machine and called by these ids."""


@dataclass
class TaskRun:
    """One start of a task, kept up to date by the job itself."""

    array: int
    task: int
    restart: int
    """0 for the first start; a requeued job starts again."""
    job_id: str
    """The scheduler's name of the task."""
    node: str
    process_id: int
    started: str
    ended: str | None = None
    outcome: str = "running"
    """running, ended, requeued (goes on by itself), stopped (told to end). A killed job leaves
    `running` behind: the queue and the points' files tell better."""
    current: str | None = None
    """The point it is working on."""
    points: dict[str, str] = field(default_factory=dict)
    """point_id -> done, shared (its share is measured; others are still at theirs), failed,
    cancelled, or elsewhere (another live job has it), as they come."""
    process: int = 0
    """Number among the processes of a job that share out its points, from 0."""


@dataclass(frozen=True)
class JobPaths:
    """Files of one submission."""

    folder: Path

    @property
    def submission(self) -> Path:
        return self.folder / "submission.json"

    def frozen(self, point_id: str) -> Path:
        return self.folder / "points" / f"{point_id}.yaml"

    def array(self, number: int) -> Path:
        return self.folder / "arrays" / f"{number}.json"

    def run(self, run: TaskRun) -> Path:
        name = f"{run.array}-{run.task}-{run.restart}-{run.process}.json"
        return self.folder / "runs" / name

    def cancelled(self, point_id: str) -> Path:
        """Its presence tells the jobs of this submission to leave the point alone."""
        return self.folder / "cancelled" / point_id

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def log(self, job_id: str, task: int) -> Path:
        """File of what a task's first process prints, in all starts; `job_id` is the array's."""
        return self.logs / f"{job_id}_{task}_0_log.out"

    def logs_of(self, job_id: str, task: int) -> list[Path]:
        """Log files of every process of a task, as far as they are there."""
        return sorted(self.logs.glob(f"{job_id}_{task}_*_log.out"))

    def script(self, number: int) -> Path:
        return self.folder / "sbatch" / f"{number}.sh"


def jobs_folder(sweep: SweepPaths) -> Path:
    return sweep.manifest.parent / "jobs"


def submissions(results: Path, sweep: str | None = None) -> Iterator[tuple[JobPaths, Submission]]:
    """All submissions into a results folder, or those of one sweep, oldest first."""
    files = (results / "sweeps").glob(f"{sweep or '*'}/jobs/*/submission.json")
    read = [(JobPaths(path.parent), read_submission(path)) for path in files]
    # Of two in the same second, the file's own time tells.
    yield from sorted(read, key=lambda entry: (entry[1].written, _modified(entry[0].submission)))


def write_submission(paths: JobPaths, submission: Submission) -> None:
    write_json(paths.submission, asdict(submission))


def read_submission(path: Path) -> Submission:
    raw = json.loads(path.read_text(encoding="utf-8"))
    arrays = tuple(
        Array(**_fields(Array, array) | {"tasks": tuple(_task(task) for task in array["tasks"])})
        for array in raw["arrays"]
    )
    command = tuple(raw["command"])
    return Submission(**_fields(Submission, raw) | {"command": command, "arrays": arrays})


def submitted_array(paths: JobPaths, number: int) -> SubmittedArray | None:
    """Read a submitted array; None while no scheduler is known to have taken it."""
    path = paths.array(number)
    if not path.exists():
        return None
    raw = json.loads(path.read_text(encoding="utf-8"))
    return SubmittedArray(**raw | {"process_ids": tuple(raw["process_ids"])})


def write_submitted_array(paths: JobPaths, array: SubmittedArray) -> None:
    write_json(paths.array(array.number), asdict(array))


def task_runs(paths: JobPaths, array: int, task: int) -> Sequence[TaskRun]:
    """Every start of every process of a task, in order; empty while it waits in the queue."""
    return _read_runs(paths, f"{array}-{task}-*")


def runs_by_task(paths: JobPaths) -> dict[tuple[int, int], list[TaskRun]]:
    """(array, task) -> every start of it, in order; without the tasks that never started."""
    by_task: dict[tuple[int, int], list[TaskRun]] = {}
    for run in _read_runs(paths, "*"):
        by_task.setdefault((run.array, run.task), []).append(run)
    return by_task


def _read_runs(paths: JobPaths, names: str) -> list[TaskRun]:
    """Read runs in the order of starts, then of processes."""
    files = paths.folder.glob(f"runs/{names}.json")
    runs = [TaskRun(**json.loads(path.read_text(encoding="utf-8"))) for path in files]
    return sorted(runs, key=lambda run: (run.restart, run.process))


def left_to_run(paths: JobPaths, task: Task, runs: Sequence[TaskRun]) -> list[str]:
    """Points that a live task will still run or is running, in its order.

    Without those that all of its processes have dealt with in the start that is going on, such as
    those that failed, and without those that were cancelled.
    """
    last = [run for run in runs if run.restart == runs[-1].restart]
    going_on = last if any(run.outcome == "running" for run in last) else []
    return [
        point_id
        for point_id in task.point_ids
        if not (going_on and all(point_id in run.points for run in going_on))
        and not paths.cancelled(point_id).exists()
    ]


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns


def write_run(paths: JobPaths, run: TaskRun) -> None:
    write_json(paths.run(run), asdict(run))


def _fields(kind: type[Submission] | type[Array], raw: dict[str, Any]) -> dict[str, Any]:
    """Drop what a later version may have added: jobs run the code of their snapshot."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in raw.items() if name in names}


def _task(raw: dict[str, Any]) -> Task:
    shard = Shard(**raw["shard"]) if "shard" in raw else WHOLE
    return Task(raw["model"], tuple(raw["point_ids"]), shard)
