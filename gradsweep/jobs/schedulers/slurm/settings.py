"""Fields of `hydra/launcher=slurm`: types, units and checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Optional

from gradsweep.errors import ConfigError
from gradsweep.jobs.schedulers.base import LaunchSettings
from gradsweep.whole_numbers import check_whole


@dataclass
class SlurmSettings(LaunchSettings):
    """`hydra/launcher=slurm`: SLURM job arrays. Fields left None are not passed to sbatch."""

    array_parallelism: int = 256
    timeout_min: int = 240
    """Time limit of a job in minutes. A job that reaches it is started again to go on."""
    signal_delay_s: int = 60
    """Seconds before the time limit at which a job is told to stop and requeue itself."""
    max_restarts: int = 100
    """Times that a job may put itself back into the queue."""
    tasks_per_node: int = 1
    """Processes of a job on each node, each with its share of the node's GPUs and of the samples of
    every point; multiplies with `shards`. Each loads the model, or with `model.placement=fsdp` has
    its share of the weights."""
    nodes: Optional[int] = None
    """Nodes of a job, which multiply its processes; None is one."""
    cpus_per_task: Optional[int] = None
    gpus_per_node: Optional[int] = None
    mem_gb: Optional[float] = None
    partition: Optional[str] = None
    qos: Optional[str] = None
    account: Optional[str] = None
    constraint: Optional[str] = None
    exclude: Optional[str] = None
    nodelist: Optional[str] = None
    gres: Optional[str] = None
    nice: Optional[int] = None
    comment: Optional[str] = None
    setup: Optional[list[str]] = None
    """Shell lines before the job's command: module load …, export …"""
    additional_parameters: dict[str, Any] = field(default_factory=dict)
    """Any other option of sbatch, `{mail-type: END}`; true gives a flag without a value."""
    gpu: Optional[str] = None
    """Name of the GPUs, or a part of it, as the driver says it: "A100". For estimates of time."""
    gpu_memory_gb: Optional[float] = None
    """Memory of one GPU, in GB (10⁹ bytes). None leaves memory unchecked."""
    per_model: dict[str, Any] = field(default_factory=dict)
    """Model name or pattern -> resources that replace the ones above: `"*70b*": {mem_gb: 300}`.
    Of several patterns that match, later ones count."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for pattern, given in self.per_model.items():
            unknown = sorted(set(given or {}) - set(RESOURCES + GPU))
            if unknown:
                raise ConfigError(
                    f"hydra.launcher.per_model.{pattern}: {', '.join(unknown)}; "
                    f"allowed are {', '.join(RESOURCES + GPU)}"
                )
        for name in ("mem_gb", "gpu_memory_gb"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"hydra.launcher.{name} must be positive, got {value}")
        for name in ("timeout_min", "tasks_per_node", "nodes", "cpus_per_task"):
            check_whole(f"hydra.launcher.{name}", getattr(self, name))
        for name in ("max_restarts", "gpus_per_node"):
            check_whole(f"hydra.launcher.{name}", getattr(self, name), least=0)
        if not 0 < self.signal_delay_s < self.timeout_min * 60:
            raise ConfigError(
                "hydra.launcher.signal_delay_s must be positive and less than the time limit of "
                f"{self.timeout_min} min, got {self.signal_delay_s}"
            )

    def resources(self, model: str) -> dict[str, Any]:
        """Return what a model's jobs ask for: the fields above, then every matching pattern of
        `per_model`; without what is not set."""
        return self._chosen(model, RESOURCES)

    def gpu_of(self, model: str) -> dict[str, Any]:
        """Return `gpu` and `gpu_memory_gb` of a model's jobs, where they are known."""
        return self._chosen(model, GPU)

    def _chosen(self, model: str, names: Sequence[str]) -> dict[str, Any]:
        chosen = {name: getattr(self, name) for name in names}
        for pattern, given in self.per_model.items():
            if fnmatchcase(model, pattern):
                chosen |= {name: value for name, value in (given or {}).items() if name in names}
        return {name: value for name, value in chosen.items() if value not in (None, {}, [])}


RESOURCES = (
    *("shards", "tasks_per_node", "nodes"),
    *("timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb", "partition", "qos", "account"),
    *("constraint", "exclude", "nodelist", "gres", "setup", "additional_parameters"),
)
"""Fields of `SlurmSettings` that may differ between models."""

GPU = ("gpu", "gpu_memory_gb")
"""Fields that say which GPUs there are. sbatch is not told; they may differ between models."""
