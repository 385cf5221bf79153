"""Which of the processes of one command this is, as torchrun or srun tells it.

Torch is not imported: a command line must know who speaks before anything is loaded.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from gradsweep.errors import ConfigError

FIRST_PORT, N_PORTS = 15_000, 16_000
"""Ports of process groups under srun, by the number of the job; above them, Linux gives ports to
outgoing connections."""


@dataclass(frozen=True)
class Rank:
    """One of several processes that do one thing together."""

    index: int = 0
    """From 0, over all nodes."""
    count: int = 1
    local: int = 0
    """Place among the processes of its node."""

    @property
    def speaks(self) -> bool:
        """Whether this is the one that the terminal hears."""
        return self.index == 0


def this_rank(environment: Mapping[str, str] | None = None) -> Rank | None:
    """Return this process's rank; None where neither torchrun nor srun started it."""
    known = os.environ if environment is None else environment
    for names in (_TORCHRUN, _SRUN):
        if all(name in known for name in names):
            index, count, local = (int(known[name]) for name in names)
            return Rank(index, count, local)
    return None


def require_rank() -> Rank:
    """Return this process's rank.

    Raises:
        ConfigError: neither torchrun nor srun started it; says what to type.
    """
    rank = this_rank()
    if rank is None:
        raise ConfigError(
            "model.placement=fsdp shares out the weights among several processes, and this is a "
            "single one: type torchrun --nproc-per-node=<GPUs> -m gradsweep … "
            "model.placement=fsdp, or srun --ntasks=<GPUs> python -m gradsweep … inside a job; "
            "hydra/launcher=slurm hydra.launcher.tasks_per_node=<GPUs> submits jobs that do so"
        )
    return rank


_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
_SRUN = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
"""Of a step: a batch script of several tasks is still one process."""


def name_meeting_place(environment: MutableMapping[str, str]) -> None:
    """Set MASTER_ADDR and MASTER_PORT where srun started this process; torchrun has set them."""
    job, step = (int(environment.get(name, 0)) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    environment.setdefault("MASTER_PORT", str(FIRST_PORT + (job + 101 * step) % N_PORTS))
    environment.setdefault("MASTER_ADDR", _first_node(environment))


def _first_node(environment: Mapping[str, str]) -> str:
    """Return where rank 0 is: `gpu[03-05,11]` begins with gpu03."""
    if environment.get("SLURM_STEP_NUM_NODES", "1") == "1":
        return "127.0.0.1"
    nodes = environment.get("SLURM_STEP_NODELIST", "")
    found = re.match(r"([^,\[]+)(?:\[(\d+))?", nodes)
    name = "".join(filter(None, found.groups())) if found else ""
    try:
        socket.getaddrinfo(name or None, 0)
    except OSError:
        # The node's name is SLURM's own. In a job, srun runs on the first node.
        return environment.get("SLURM_LAUNCH_NODE_IPADDR", name)
    return name
