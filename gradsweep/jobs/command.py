"""The launchers seen from the command line: which one was asked for, and what it has done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from gradsweep.config.composition import BUILT_IN, ConfigSource
from gradsweep.errors import ConfigError, GradsweepError
from gradsweep.jobs.schedulers.base import Scheduler
from gradsweep.plan import Plan
from gradsweep.plan.grid import hydra_settings

if TYPE_CHECKING:
    from gradsweep.jobs.submit import Launched

_OURS = "hydra_plugins.gradsweep_launcher."


class GridLauncher(Protocol):
    """The launcher of launchers/hydra_plugins/gradsweep_launcher, beside Hydra's own interface."""

    scheduler: Scheduler[Any]

    def submit(self, plan: Plan, command: Sequence[str]) -> Launched: ...


def grid_launcher(
    overrides: Sequence[str], multirun: bool, source: ConfigSource = BUILT_IN
) -> GridLauncher | None:
    """The launcher when it is one of ours; None for Hydra's own and for stock submitit.

    Ours take the points of the plan: Hydra's sweeper would compose every cell once more.

    Raises:
        ConfigError: one of ours without -m, which Hydra would silently ignore.
    """
    named = any("launcher" in text or text.startswith("+") for text in overrides)
    if not named and source == BUILT_IN:
        return None
    chosen = hydra_settings(overrides, source).launcher
    if not isinstance(chosen, Mapping):
        raise ConfigError(
            f"hydra.launcher={chosen}: a launcher is chosen by its name; type hydra/launcher=slurm "
            "or local"
        )
    if not str(chosen.get("_target_")).startswith(_OURS):
        return None
    if not multirun:
        raise ConfigError(
            "hydra/launcher: jobs are submitted for grids; add -m, also for one point"
        )
    try:
        launcher: GridLauncher = instantiate(chosen)
    except InstantiationException as error:
        if isinstance(error.__cause__, GradsweepError):  # says alone what Hydra says around it
            raise error.__cause__ from error
        raise
    return launcher


def launched_lines(launched: Launched, plan: Plan) -> list[str]:
    """Lines that tell what was submitted and where to look."""
    counts = {
        "submitted": len(launched.submitted),
        "in jobs already": len(launched.in_jobs),
        "running outside of jobs": len(launched.running),
        "done": len(launched.done),
    }
    lines = [", ".join(f"{n} {what}" for what, n in counts.items() if n)]
    if launched.paths:
        lines.append(f"jobs     {' '.join(launched.jobs)}")
        lines.append(f"logs     {launched.paths.logs}")
    if launched.submitted or launched.in_jobs:
        lines.append(f"follow   python -m gradsweep status --watch {plan.results}")
    return lines
