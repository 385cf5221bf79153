"""The processes that share one model, and how they stay in step.

A pass over a sharded model gathers weights from all ranks again and again, so all of them must run
the same passes, and none may leave another waiting for a gather. Before every gather the ranks
therefore vote, by one small number on the host: all are well, or one has run out of memory (then
all drop the pass), stops or has failed (then all end). A rank that leaves a pass votes once in the
place of the gather that it will not come to.
"""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from gradsweep.errors import (
    ConfigError,
    GradsweepError,
    RankFailedError,
    RankLostError,
    StopRequested,
)
from gradsweep.models.placement import resolve_device
from gradsweep.ranks import Rank, name_meeting_place, require_rank

Item = TypeVar("Item")

PATIENCE = timedelta(hours=2)
"""How long a rank waits for another that lives: one reads the weights for all. A dead one shows at
once, by its closed connection."""


class Vote(IntEnum):
    """What a rank says of itself; the largest counts."""

    WELL = 0
    OUT_OF_MEMORY = 1
    STOPS = 2
    FAILS = 3


class PeerOutOfMemory(MemoryError):
    """Memory ran out on another rank: the pass is dropped here, too."""


class RankGroup:
    """All ranks; every method that speaks to others is called by all of them."""

    def __init__(self, rank: Rank, device: torch.device) -> None:
        """Meet the other ranks, and take a GPU for oneself where `device` is of that kind.

        Raises:
            ConfigError: there are more ranks on this node than GPUs.
            RankLostError: the others are not there.
        """
        from torch.distributed.device_mesh import init_device_mesh  # takes a while to import

        self.rank = rank
        self.device = _own_device(rank, device)
        with _lost():
            if not dist.is_initialized():
                name_meeting_place(os.environ)
                backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
                dist.init_process_group(
                    backend, rank=rank.index, world_size=rank.count, timeout=PATIENCE
                )
                atexit.register(dist.destroy_process_group)
            self.mesh = init_device_mesh(device.type, (rank.count,))
            self._voters = dist.new_group(backend="gloo", timeout=PATIENCE)
        self._told: BaseException | None = None

    def vote(self, own: Vote = Vote.WELL, words: str = "") -> None:
        """Say how this rank is, and go on where all are well; raises as `any`."""
        self._ballot(own, False, words)

    def any(self, flag: bool) -> bool:
        """Return whether any rank says yes.

        Raises:
            PeerOutOfMemory: memory ran out on another rank.
            StopRequested: another rank stops.
            RankFailedError: another rank has failed; has its words.
            RankLostError: another rank has ended.
        """
        return self._ballot(Vote.WELL, flag, "")

    def first(self, item: Item) -> Item:
        """Return the first rank's item; raises as `any`."""
        self.vote()
        items = [item]
        with _lost():
            dist.broadcast_object_list(items, src=0, group=self._voters)
        return items[0]

    def gathered(self, own: Iterable[Item]) -> list[Item]:
        """Return the items of all ranks, those of the first one first; raises as `any`."""
        self.vote()
        return [item for of_rank in self._all(list(own)) for item in of_rank]

    @contextmanager
    def together(self) -> Iterator[None]:
        """Inside the block, what ends one rank ends all, each with the words of the first to fail.

        Raises:
            RankFailedError, RankLostError, StopRequested: of another rank; see `any`.
        """
        try:
            yield
        except (RankFailedError, RankLostError):
            raise
        except StopRequested as stop:
            if stop is not self._told:
                self._leave(stop, Vote.STOPS)
            raise
        except Exception as error:
            if error is not self._told:
                self._leave(error, Vote.FAILS)
            raise

    def _leave(self, error: BaseException, vote: Vote) -> None:
        """Tell the others; a collective that broke tells that there is nobody to be told."""
        self._told = error
        try:
            self.vote(vote, str(error) or type(error).__name__)
        except RankLostError as lost:
            if not isinstance(error, GradsweepError | StopRequested):
                raise lost from error

    def _ballot(self, own: Vote, flag: bool, words: str) -> bool:
        worst, any_flag = self._largest([int(own), int(flag)])
        if worst >= Vote.STOPS:
            told = self._all(words)
            if own < Vote.STOPS:
                raise self._ended(Vote(worst), told)
        elif worst > own:
            raise PeerOutOfMemory("memory ran out on another rank")
        return bool(any_flag)

    def _ended(self, worst: Vote, told: list[str]) -> BaseException:
        """Build what ends this rank, since another one has ended or wants to."""
        if worst is Vote.STOPS:
            self._told = StopRequested(next(filter(None, told), ""))
            return self._told
        rank = next(rank for rank, words in enumerate(told) if words)
        return RankFailedError(f"rank {rank} of {self.rank.count}: {told[rank]}")

    def _largest(self, own: list[int]) -> list[int]:
        """Number by number."""
        cast = torch.tensor(own)
        with _lost():
            dist.all_reduce(cast, op=dist.ReduceOp.MAX, group=self._voters)
        return cast.tolist()

    def _all(self, own: Any) -> list[Any]:
        found: list[Any] = [None] * self.rank.count
        with _lost():
            dist.all_gather_object(found, own, group=self._voters)
        return found


@functools.cache
def _group_on(kind: str) -> RankGroup:
    return RankGroup(require_rank(), torch.device(kind))


def rank_group(device: str) -> RankGroup:
    """Return the ranks of this process's command, which meet when first asked for.

    Args:
        device: `gradients.device`.

    Raises:
        ConfigError: neither torchrun nor srun started this process, the device does not exist, or
            there are more ranks than GPUs on this node.
        RankLostError: the others are not there.
    """
    return _group_on(resolve_device(device).type)


def _own_device(rank: Rank, device: torch.device) -> torch.device:
    if device.type == "cpu":
        return device
    there = torch.cuda.device_count()
    if there > 1 and rank.local >= there:
        raise ConfigError(
            f"model.placement=fsdp: process {rank.local + 1} of this node finds {there} GPUs; "
            f"allowed is one process for each, torchrun --nproc-per-node={there}"
        )
    # A job may show a process its own GPU alone.
    own = torch.device("cuda", rank.local if there > 1 else 0)
    torch.cuda.set_device(own)
    return own


@contextmanager
def _lost() -> Iterator[None]:
    """Turn a collective that broke into an error that says what has happened."""
    try:
        yield
    except RuntimeError as error:
        raise RankLostError(
            "one of the processes that share the model's weights has ended (killed, out of the "
            "host's memory, or with its node), and the others cannot go on without its part; what "
            "is stored is kept: run the same command again"
        ) from error
