"""Hydra's side of the launchers; what they do is in `gradsweep.jobs`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from gradsweep.jobs.schedulers import scheduler_class

if TYPE_CHECKING:
    from gradsweep.jobs.submit import Launched
    from gradsweep.plan import Plan


class GridLauncher(Launcher):
    """Submits a grid's points as jobs and, unless `wait` is set, returns at once."""

    def __init__(self, scheduler: str, **settings: Any) -> None:
        """`scheduler` is its name; one of your own is the dotted path of its class."""
        given = {name: _plain(value) for name, value in settings.items()}
        self.scheduler = scheduler_class(scheduler).configured(given)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_context = hydra_context
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Submit a sweeper's cells. The points' states are in their files, not in what returns."""
        from gradsweep.plan import freeze, plan_cells

        grid = [list(cell) for cell in job_overrides]
        plan = plan_cells(grid, map(self._composed, grid))
        freeze(plan, sys.argv)
        self.submit(plan, sys.argv)
        done = JobReturn(status=JobStatus.COMPLETED)
        done.return_value = plan.name
        return [done] * len(grid)

    def submit(self, plan: Plan, command: Sequence[str]) -> Launched:
        """Submit a checked plan; with `wait`, return when its jobs have ended."""
        from gradsweep.jobs.status.follow import follow
        from gradsweep.jobs.status.observer import Observer
        from gradsweep.jobs.submit import submit

        launched = submit(plan, self.scheduler, command)
        if self.scheduler.settings.wait:
            points = [point.point_id for point in plan.points]
            follow(Observer(Path(plan.results), only=points), plan.name)
        return launched

    def _composed(self, cell: Sequence[str]) -> DictConfig:
        """Compose through Hydra's own loader, which knows a user's --config-dir."""
        composed = self.hydra_context.config_loader.load_sweep_config(self.config, list(cell))
        OmegaConf.set_readonly(composed, False)
        with open_dict(composed):
            del composed["hydra"]
        return composed


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
