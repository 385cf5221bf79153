"""Which process of several this is, and where they meet, from what torchrun and srun tell."""

from __future__ import annotations

import pytest

from gradsweep.errors import ConfigError
from gradsweep.ranks import Rank, name_meeting_place, require_rank, this_rank

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
SRUN = {
    "SLURM_JOB_ID": "4711",
    "SLURM_PROCID": "2",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_LOCALID": "0",
    "SLURM_STEP_NODELIST": "localhost,gpu[03-05,11]",
}


def test_torchrun_and_srun_tell_ranks_and_a_batch_script_is_one_process() -> None:
    assert this_rank(TORCHRUN) == Rank(3, 8, 1)
    assert this_rank(SRUN) == Rank(2, 4, 0)
    assert this_rank(SRUN | TORCHRUN) == Rank(3, 8, 1), "torchrun inside a step of srun"
    assert this_rank({"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}) is None
    assert [Rank(i, 2).speaks for i in range(2)] == [True, False]


def test_without_either_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {**TORCHRUN, **SRUN}:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"torchrun --nproc-per-node=.*srun .*slurm"):
        require_rank()


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ({}, "localhost"),
        ({"SLURM_STEP_NUM_NODES": "1"}, "127.0.0.1"),
        (
            {"SLURM_STEP_NODELIST": "no-such-node[03-05]", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.3"},
            "10.0.0.3",
        ),
        ({"SLURM_STEP_NODELIST": "no-such-node[03-05],b"}, "no-such-node03"),
        ({"MASTER_ADDR": "mine"}, "mine"),
    ],
)
def test_ranks_of_srun_meet_on_the_first_node(told: dict[str, str], address: str) -> None:
    environment = SRUN | told
    name_meeting_place(environment)
    assert environment["MASTER_ADDR"] == address
    other = SRUN | told | {"SLURM_PROCID": "0"}
    name_meeting_place(other)
    assert environment["MASTER_PORT"] == other["MASTER_PORT"]
    assert 1024 < int(environment["MASTER_PORT"]) < 32768
