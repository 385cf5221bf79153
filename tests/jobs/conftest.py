"""Grids of two points, and SLURM's commands played by lines of shell."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.submitted_grid import BEGAN, COMMAND, Cluster

from gradsweep.jobs.records import SubmittedArray
from gradsweep.jobs.schedulers import local
from gradsweep.plan import Plan, freeze, make_plan

MakePlan = Callable[..., Plan]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a command of SLURM's on the path, as a line of shell; nothing else is there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, line: str) -> None:
        (folder / name).write_text(f"#!/bin/bash\n{line}\n")
        (folder / name).chmod(0o755)

    make("srun", "exit 1")
    make("scontrol", "echo 'MaxArraySize            = 1001'")
    make("sbatch", "echo 12")
    make("squeue", "true")
    make("scancel", f'echo "$@" >>{tmp_path}/scancelled')
    make("sacct", "echo accounting is off >&2; exit 1")
    return make


@pytest.fixture
def cluster(tmp_path: Path, commands: Callable[[str, str], None]) -> Cluster:
    plan = make_plan(
        [f"store.root={tmp_path / 'results'}", "tracking=none", "n_samples=4", "cot=none,detailed"],
        multirun=True,
    )
    freeze(plan, COMMAND)
    return Cluster(plan)


@pytest.fixture
def in_queue(cluster: Cluster, commands: Callable[[str, str], None]) -> Callable[[str], None]:
    """Makes squeue show the task of the last submission: "RUNNING|None", "PENDING|Priority"."""

    def show(state: str) -> None:
        _, submission = cluster.submissions()[-1]
        status, reason = state.split("|")
        commands("squeue", f"echo '12_0|{status}|{submission.job_name(0)}|{reason}'")

    return show


@pytest.fixture
def local_process(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Stands in for a process that the local launcher would start: none, or this test's own."""

    def start(self: Any, paths: Any, submission: Any, array: Any, earlier: Any) -> SubmittedArray:
        return SubmittedArray(array.number, "local", BEGAN, (os.getpid(),))

    monkeypatch.setattr(local.LocalScheduler, "start", start)

    def alive(is_alive: bool) -> None:
        monkeypatch.setattr(local, "_runs", lambda pid, folder: is_alive)

    alive(False)
    return alive


@pytest.fixture
def grid(tmp_path: Path) -> MakePlan:
    """The plan of a grid in a results folder of this test."""

    def plan(*overrides: str) -> Plan:
        root = f"store.root={tmp_path / 'results'}"
        return make_plan([root, "tracking=none", *overrides], multirun=True)

    return plan
