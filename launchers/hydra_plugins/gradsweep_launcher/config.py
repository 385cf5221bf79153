"""The schemas of conf/hydra/launcher/*.yaml. Hydra runs this file at every start: nothing heavy,
and no annotations as strings, which dataclasses could not look up in a module still being scanned.
"""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore

from gradsweep.jobs.settings import LocalSettings, SlurmSettings


@dataclass
class SlurmLauncherConfig(SlurmSettings):
    _target_: str = "hydra_plugins.gradsweep_launcher.launcher.SlurmLauncher"


@dataclass
class LocalLauncherConfig(LocalSettings):
    _target_: str = "hydra_plugins.gradsweep_launcher.launcher.LocalLauncher"


for name, node in (("slurm", SlurmLauncherConfig), ("local", LocalLauncherConfig)):
    ConfigStore.instance().store(
        group="hydra/launcher", name=f"gradsweep_{name}", node=node, provider="gradsweep"
    )
