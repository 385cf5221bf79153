"""Ranks run as many passes as each other, whatever each has to do and whoever lacks memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from helpers.patience import PATIENCE_SECONDS

from gradsweep.engine import Batch, make_batch
from gradsweep.engine.lockstep import Lockstep, LockstepSchedule
from gradsweep.errors import RankFailedError, StoreError
from gradsweep.models.rank_group import RankGroup
from gradsweep.ranks import Rank

Found = list[tuple[int, list[str]]]


class ThreadGroup(RankGroup):
    """Ranks that are threads, and exchange what they say in a list."""

    def __init__(self, index: int, said: list[Any], barrier: threading.Barrier) -> None:
        self.rank = Rank(index, len(said))
        self._said = said
        self._barrier = barrier
        self._told = None

    def _all(self, own: Any) -> list[Any]:
        self._said[self.rank.index] = own
        self._barrier.wait(PATIENCE_SECONDS)
        heard = list(self._said)
        self._barrier.wait(PATIENCE_SECONDS)
        return heard

    def _largest(self, own: list[int]) -> list[int]:
        return list(map(max, *self._all(own)))


def on_threads(count: int, work: Callable[[RankGroup], Any]) -> list[Any]:
    """What `work` returned on each rank, or the error that it raised."""
    said, barrier, found = [None] * count, threading.Barrier(count), [None] * count

    def run(rank: int) -> None:
        group = ThreadGroup(rank, said, barrier)
        try:
            with group.together():
                found[rank] = work(group)
        except Exception as error:
            found[rank] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    return found


def batch(*lengths: int) -> Batch:
    """Units of so many tokens, each of which begins with its length."""
    ids = torch.tensor([[n] * max(lengths) for n in lengths])
    return make_batch(ids, torch.ones_like(ids), None)


def measured(
    group: RankGroup, batches: Sequence[Batch], fault: Callable[[Batch], None]
) -> tuple[Found, int]:
    """Results by place, and the number of passes that this rank has run."""
    passes = []

    def measure(given: Batch) -> list[str]:
        passes.append(1)
        group.vote()  # a layer's weights are gathered
        fault(given)
        group.vote()
        return [str(int(n)) for n in given.input_ids[:, 0]]

    schedule = LockstepSchedule(measure, lambda unit: "too large", Lockstep(group, batch(2)))
    return list(schedule.run(batches)), len(passes)


WORK = [[batch(9, 8), batch(7, 6), batch(5)], [batch(4, 3)], []]


def test_ranks_without_work_run_along() -> None:
    found = on_threads(3, lambda g: measured(g, WORK[g.rank.index], lambda _: None))
    assert [results for results, _ in found] == [
        [(0, ["9", "8"]), (1, ["7", "6"]), (2, ["5"])],
        [(0, ["4", "3"])],
        [],
    ]
    assert [passes for _, passes in found] == [3, 3, 3]


@pytest.mark.long
def test_memory_that_runs_out_on_one_rank_cuts_its_batch_alone() -> None:
    def short(given: Batch) -> None:
        if 8 in given.input_ids[:, 0]:
            raise torch.OutOfMemoryError("planned")

    found = on_threads(3, lambda g: measured(g, WORK[g.rank.index], short))
    assert [results for results, _ in found] == [
        [(0, ["9", "too large"]), (1, ["7", "6"]), (2, ["5"])],
        [(0, ["4", "3"])],
        [],
    ]
    assert len({passes for _, passes in found}) == 1


def test_what_ends_one_rank_ends_all() -> None:
    def full(given: Batch) -> None:
        if 3 in given.input_ids[:, 0]:
            raise StoreError("the disk is full")

    ended = on_threads(3, lambda g: measured(g, WORK[g.rank.index], full))
    assert isinstance(ended[1], StoreError)
    for other in (ended[0], ended[2]):
        with pytest.raises(RankFailedError, match="rank 1 of 3: the disk is full"):
            raise other
