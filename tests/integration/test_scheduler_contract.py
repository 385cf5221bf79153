"""The contract of schedulers on a real SLURM: jobs are held, and ended by scancel."""

from __future__ import annotations

import subprocess

import pytest
from helpers.scheduler_contract import SchedulerContract, Stage
from helpers.slurm_grid import NEEDS_SLURM

from gradsweep.jobs.schedulers.slurm import SlurmScheduler, SlurmSettings
from gradsweep.jobs.tasks import JobTask

pytestmark = NEEDS_SLURM


class TestRealSlurm(SchedulerContract):
    @pytest.fixture
    def stage(self) -> Stage:
        settings = SlurmSettings(
            points_per_job=1,
            snapshot=False,
            cpus_per_task=1,
            mem_gb=3,
            additional_parameters={"hold": True},
        )
        return Stage(SlurmScheduler(settings), end, {"SLURM_JOB_ID": "1", "SLURM_NODEID": "0"})


def end(tasks: list[JobTask]) -> None:
    """End jobs; one that is over already is no error."""
    subprocess.run(["scancel", "--quiet", *(task.job_id for task in tasks)], check=True)
