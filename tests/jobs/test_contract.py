"""SLURM (its commands played), local processes and a toy of one's own pass the same tests."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.played_slurm import PlayedSlurm
from helpers.scheduler_contract import SchedulerContract, Stage
from helpers.toy_scheduler import ToyScheduler, ToySettings

from gradsweep.errors import ConfigError, SchedulerError
from gradsweep.jobs.command import grid_launcher
from gradsweep.jobs.queue import ask_queue, known_submissions
from gradsweep.jobs.records import write_submission
from gradsweep.jobs.retry import retry
from gradsweep.jobs.schedulers import local, scheduler_class
from gradsweep.jobs.schedulers.local import LocalScheduler, LocalSettings
from gradsweep.jobs.schedulers.slurm import SlurmScheduler, SlurmSettings
from gradsweep.jobs.status.lines import LEFT
from gradsweep.jobs.submit import submit
from gradsweep.jobs.tasks import JobTask
from gradsweep.plan import Plan

REPOSITORY = Path(__file__).resolve().parents[2]
COMMON = {"points_per_job": 1, "snapshot": False, "array_parallelism": 2}


class TestSlurm(SchedulerContract):
    @pytest.fixture
    def stage(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
        played = PlayedSlurm(tmp_path / "bin")
        monkeypatch.setenv("PATH", str(played.folder))
        monkeypatch.setattr("gradsweep.jobs.schedulers.slurm.commands.ACCOUNTING_SECONDS", 300)
        environment = {
            "SLURM_JOB_ID": "14",
            "SLURM_ARRAY_JOB_ID": "12",
            "SLURM_ARRAY_TASK_ID": "3",
            "SLURM_PROCID": "1",
            "SLURM_STEP_NUM_TASKS": "2",
            "SLURMD_NODENAME": "gpu7",
        }
        settings = SlurmSettings(**COMMON, setup=["module load cuda"], mem_gb=3)
        return Stage(SlurmScheduler(settings), lambda tasks: played.end(), environment)


class TestLocal(SchedulerContract):
    @pytest.fixture
    def stage(self, monkeypatch: pytest.MonkeyPatch) -> Stage:
        """Real processes, which sleep in place of measuring."""

        def sleeper(paths: Any, submission: Any, array: int) -> list[str]:
            sleep = "import time; time.sleep(600)"
            return [sys.executable, "-S", "-c", sleep, str(paths.folder.absolute()), str(array)]

        def end(tasks: list[JobTask]) -> None:
            for task in tasks:
                with suppress(ProcessLookupError):
                    os.kill(int(task.job_id), signal.SIGKILL)

        monkeypatch.setattr(local, "job_command", sleeper)
        return Stage(LocalScheduler(LocalSettings(**COMMON)), end)


class TestToy(SchedulerContract):
    """The class comes from outside of the package, and nothing of the package knows it."""

    @pytest.fixture
    def stage(self) -> Stage:
        def end(tasks: list[JobTask]) -> None:
            for task in tasks:
                ToyScheduler.end(task.job_id, "OUT_OF_PLASTIC")

        return Stage(ToyScheduler(ToySettings(**COMMON, colour="blue")), end)


def test_a_yaml_of_ones_own_names_the_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "launchers"))
    folder = tmp_path / "hydra" / "launcher"
    folder.mkdir(parents=True)
    (folder / "toy.yaml").write_text(
        "_target_: hydra_plugins.gradsweep_launcher.launcher.GridLauncher\n"
        "scheduler: helpers.toy_scheduler.ToyScheduler\n"
        "array_parallelism: 1\n"
        "colour: blue\n"
    )
    overrides = ["hydra/launcher=toy", f"hydra.searchpath=[file://{tmp_path}]", "cot=none,detailed"]
    launcher = grid_launcher([*overrides, "hydra.launcher.array_parallelism=7"], multirun=True)
    assert launcher is not None
    assert isinstance(launcher.scheduler, ToyScheduler)
    assert launcher.scheduler.settings == ToySettings(array_parallelism=7, colour="blue")
    with pytest.raises(Exception, match="colour must be red or blue, got green"):
        grid_launcher([*overrides, "hydra.launcher.colour=green"], multirun=True)


@pytest.mark.parametrize("name", ["pbs", "no.such.Module", "helpers.toy_scheduler.ToySettings", ""])
def test_an_unknown_scheduler_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match=f"scheduler {name!r} is not known.*local, slurm"):
        scheduler_class(name)


def test_jobs_of_an_unknown_scheduler_are_not_taken_for_local_ones(grid: Any) -> None:
    plan: Plan = grid("cot=none,detailed", "n_samples=2")
    submit(plan, ToyScheduler(ToySettings(snapshot=False)), ["command"])
    results = Path(plan.results)
    ((paths, submission),) = known_submissions(results)
    write_submission(paths, replace(submission, launcher="pbs"))
    with pytest.raises(SchedulerError, match="'pbs' is not known here; known are local, slurm"):
        retry(results, None, LEFT, ["retry"])
    assert len(known_submissions(results)) == 1
    assert "'pbs' is not known" in ask_queue(known_submissions(results)).complaint
