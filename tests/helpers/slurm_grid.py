"""Grids on a real SLURM, submitted as a user does; what became of them is read from files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gradsweep.jobs.records import submissions, submitted_array, task_runs
from gradsweep.store import PointPaths, PointState, point_folders, point_state
from helpers.patience import PATIENCE_SECONDS, wait_until
from helpers.places import REPOSITORY
from helpers.same_results import assert_same_results

NEEDS_SLURM = [
    pytest.mark.slurm,
    pytest.mark.skipif(shutil.which("sinfo") is None, reason="there is no SLURM here (no sinfo)"),
]
"""The `pytestmark` of a file whose tests all do."""
ON_SLURM = (
    "hydra/launcher=slurm_cpu",
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.mem_gb=1",
    "hydra.launcher.timeout_min=30",
    "hydra.launcher.points_per_job=1",
)


@dataclass
class Grid:
    """A sweep in a results folder of its own."""

    results: Path
    overrides: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *more: str) -> list[str]:
        root = f"store.root={self.results}"
        return [sys.executable, "-m", "gradsweep", "-m", *self.overrides, root, *more]

    def start(self, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*more),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment() | self.environment,
            cwd=self.results.parent,
        )

    def run(self, *more: str, expect: int = 0) -> str:
        """The command of this sweep, always the same one; what it said on stderr."""
        return said_by(self.start(*more), expect)

    def elements(self) -> dict[str, tuple[str, ...]]:
        """SLURM's id ("12_0") -> the points, of every task that is known to be submitted."""
        found = {}
        for paths, submission in submissions(self.results):
            for array in submission.arrays:
                taken = submitted_array(paths, array.number)
                for number, task in enumerate(array.tasks):
                    if taken:
                        found[f"{taken.job_id}_{number}"] = task.point_ids
        return found

    def queued(self) -> dict[str, str]:
        """Its elements in the queue -> their state."""
        ours = self.elements()
        return {e: state for e, state in squeue().items() if e in ours}

    def finish(self) -> None:
        wait_until(lambda: not self.queued(), f"the end of the jobs in {self.results}", pause=1)

    def log(self) -> str:
        """What all of its jobs have printed."""
        return "\n".join(path.read_text() for path in sorted(self.results.rglob("*_log.out")))

    def starts(self) -> int:
        """How often its jobs were started."""
        return sum(
            len(task_runs(paths, array.number, number))
            for paths, submission in submissions(self.results)
            for array in submission.arrays
            for number in range(len(array.tasks))
        )

    def state(self, point_id: str) -> PointState:
        return point_state(PointPaths(self.results, point_id))

    def states(self) -> list[PointState]:
        return [self.state(paths.point_id) for paths in point_folders(self.results)]

    def planned(self) -> list[str]:
        (manifest,) = self.results.glob("sweeps/*/manifest.json")
        return [point["point_id"] for point in json.loads(manifest.read_text())["points"]]

    def stored(self, point_id: str) -> int:
        """Samples on disk of a point that is not done."""
        return len(list(PointPaths(self.results, point_id).parts.glob("samples-*.parquet")))

    def assert_done(self) -> None:
        assert [self.state(i) for i in self.planned()] == [PointState.DONE] * len(self.planned()), (
            self.log()
        )

    def assert_same_results(self, reference: Grid) -> None:
        """Every row and sample of `reference` exactly once, nothing else, the same numbers."""
        assert_same_results(self.results, reference.results)


def said_by(process: subprocess.Popen[str], expect: int = 0) -> str:
    """What a started command says on stderr until it ends."""
    said = process.communicate(timeout=PATIENCE_SECONDS)[1]
    assert process.returncode == expect, said
    return said


def clean_environment() -> dict[str, str]:
    """One thread per job, the launchers found from a checkout, no enclosing job."""
    foreign = ("SLURM_", "SBATCH_", "SRUN_", "SUBMITIT_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(foreign) or name == "SLURM_CONF"
    }
    path = os.pathsep.join([str(REPOSITORY / "launchers"), os.environ.get("PYTHONPATH", "")])
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path.rstrip(os.pathsep)}


def slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def squeue(column: str = "%T", *options: str) -> dict[str, str]:
    """Our elements in the queue -> their state or another column of squeue's format, asked as often
    as a busy machine needs."""
    command = ["squeue", "--me", "--noheader", "--array", f"--format=%i|{column}", *options]
    for _ in range(10):
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode == 0:
            return dict(line.split("|") for line in answer.stdout.splitlines())
        time.sleep(2)
    raise AssertionError(f"squeue does not answer: {answer.stderr}")


def wrapper(folder: Path, name: str, script: Sequence[str]) -> dict[str, str]:
    """An environment in which `name` is this script; `$REAL` in it is the real command."""
    folder.mkdir(exist_ok=True)
    real = slurm("which", name).strip()
    file = folder / name
    file.write_text("\n".join(["#!/bin/bash", f"REAL={real}", *script]) + "\n")
    file.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
