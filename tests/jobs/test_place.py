"""A job's process knows its share of the samples and of the GPUs from SLURM's environment."""

from __future__ import annotations

import pytest

from gradsweep.jobs.place import Place, keep_own_devices
from gradsweep.jobs.schedulers.local import LocalScheduler
from gradsweep.jobs.schedulers.slurm import SlurmScheduler
from gradsweep.records import Shard


def step(process: int, processes: int) -> dict[str, str]:
    return {
        "SLURM_ARRAY_JOB_ID": "12",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_PROCID": str(process),
        "SLURM_STEP_NUM_TASKS": str(processes),
        "SLURMD_NODENAME": "gpu7",
    }


def test_shards_and_processes_multiply_without_a_gap() -> None:
    places = [SlurmScheduler.place(step(process, 2)) for process in range(2)]
    assert {place.job_id for place in places} == {"12_3"}
    assert {place.node for place in places} == {"gpu7"}
    assert {place.task for place in places} == {3}
    shares = [place.share_of(Shard(i, 3)) for i in range(3) for place in places]
    assert shares == [Shard(i, 6) for i in range(6)]


def test_a_local_process_is_the_only_one() -> None:
    place = LocalScheduler.place({})
    assert place.job_id.isdigit()
    assert place.share_of(Shard(1, 4)) == Shard(1, 4)


@pytest.mark.parametrize(
    ("seen", "processes", "kept"),
    [
        ("0,1,2,3", 2, ["0,1", "2,3"]),
        ("4,5", 2, ["4", "5"]),
        ("GPU-a,GPU-b,GPU-c", 2, ["GPU-a", "GPU-b,GPU-c"]),
        ("0", 2, ["0", "0"]),  # bound by the cluster, or shared
        ("0,1", 1, ["0,1"]),
        ("", 2, ["", ""]),
    ],
)
def test_processes_share_out_the_gpus_that_they_see(
    seen: str, processes: int, kept: list[str]
) -> None:
    found = []
    for process in range(processes):
        environment = {"CUDA_VISIBLE_DEVICES": seen}
        keep_own_devices(environment, Place("1", "node", process, processes))
        found.append(environment["CUDA_VISIBLE_DEVICES"])
    assert found == kept


def test_processes_on_several_nodes_share_out_those_of_their_own() -> None:
    found = []
    for process in range(4):
        environment = {"CUDA_VISIBLE_DEVICES": "0,1"}
        place = SlurmScheduler.place(step(process, 4) | {"SLURM_STEP_NUM_NODES": "2"})
        keep_own_devices(environment, place)
        found.append(environment["CUDA_VISIBLE_DEVICES"])
    assert found == ["0", "1", "0", "1"]
