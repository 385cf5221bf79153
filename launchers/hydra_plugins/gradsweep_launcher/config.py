"""Schemas of conf/hydra/launcher/*.yaml: `gradsweep_<name>` for every scheduler.

Hydra runs this file at every start of any program: nothing heavy is imported.
"""

from dataclasses import make_dataclass
from typing import Any

from hydra.core.config_store import ConfigStore

from gradsweep.jobs.schedulers import Scheduler, schedulers

TARGET = "hydra_plugins.gradsweep_launcher.launcher.GridLauncher"


def schema(scheduler: type[Scheduler[Any]]) -> type:
    """The settings of a scheduler, with what tells Hydra that it is this one."""
    return make_dataclass(
        f"{scheduler.__name__}Config",
        [("scheduler", str, scheduler.name), ("_target_", str, TARGET)],
        bases=(scheduler.settings_class,),
    )


for _name, _scheduler in schedulers().items():
    ConfigStore.instance().store(
        group="hydra/launcher",
        name=f"gradsweep_{_name}",
        node=schema(_scheduler),
        provider="gradsweep",
    )
