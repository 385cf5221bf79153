"""The place of a process in its job: its task, its node, its share of samples and of GPUs."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass

from gradsweep.records import Shard

_DEVICES = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Place:
    """A process of a running job, as its scheduler's environment tells it."""

    job_id: str
    """Name of the task, as in `JobTask.job_id`."""
    node: str
    process: int = 0
    """Number among the processes of this task, from 0."""
    processes: int = 1
    task: int | None = None
    """Number of the task in its array; None where the job's command says it."""
    nodes: int = 1
    """Nodes of the job, each of which has as many of its processes, in order."""

    def share_of(self, task: Shard) -> Shard:
        """This process's share, where the task's own share is divided among its processes."""
        return task.part(self.process, self.processes)


def keep_own_devices(environment: MutableMapping[str, str], place: Place) -> None:
    """Leave a process its even share of its node's GPUs; before anything looks for GPUs.

    All processes of a step see all of the job's GPUs on their node unless the cluster binds them
    one by one, in which case there are fewer GPUs to see than processes and nothing is to be done.
    """
    given = [device for device in environment.get(_DEVICES, "").split(",") if device]
    here = place.processes // place.nodes
    if here > 1 and len(given) >= here:
        first = place.process % here * len(given) // here
        last = (place.process % here + 1) * len(given) // here
        environment[_DEVICES] = ",".join(given[first:last])
