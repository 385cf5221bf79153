"""Batch after batch over worker threads, within the memory that there is.

Nobody knows beforehand what a pass takes, so a pass that runs out of memory is the measure: what
was in memory at that moment was too much, and half of it is the budget from then on. A batch
above its share of the budget is cut; passes wait for each other where they exceed it together;
after some passes without trouble the budget doubles, until it no longer limits anything. A unit
that does not fit while nothing else runs does not fit at all, and is reported as that.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch
from torch import nn

from gradsweep.engine import Batch
from gradsweep.engine.out_of_memory import is_out_of_memory
from gradsweep.models.projections import n_parameters
from gradsweep.models.rank_group import PeerOutOfMemory, RankGroup, Vote

log = logging.getLogger("gradsweep")

SMALL_MODEL_PARAMETERS = 500_000_000
"""Below this, a CPU measures one batch per core at the same time unless told otherwise."""

MOST_WORKERS = 8
"""Default limit of such batches: each holds its activations."""

FIRST_PATIENCE = 8
"""Passes without trouble before a budget doubles; twice as many each time that doubling was too
much, so that a budget settles instead of failing every few batches."""

Result = TypeVar("Result")


def default_workers(model: nn.Module) -> int:
    """One batch per core for a model that is small beside its activations, on a CPU."""
    small = on_cpu(model) and n_parameters(model) < SMALL_MODEL_PARAMETERS
    return min(torch.get_num_threads(), MOST_WORKERS) if small else 1


def on_cpu(model: nn.Module) -> bool:
    """Whether all of it is there."""
    return all(parameter.device.type == "cpu" for parameter in model.parameters())


@contextmanager
def suppress_out_of_memory(group: RankGroup | None = None) -> Iterator[None]:
    """Leave the block where memory runs out, and give back what it took.

    Of a model whose weights ranks share, all leave it where memory runs out on one; they vote at
    the end of the block.
    """
    here = False
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        here = not isinstance(error, PeerOutOfMemory)
    else:
        return
    free()
    if group and here:
        group.vote(Vote.OUT_OF_MEMORY)


class MemoryBudget:
    """How many padded tokens may be in memory at a time, over all workers.

    There is no limit until memory has run out once. Thread-safe.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._changed = threading.Condition()
        self._in_memory = 0
        self._most = 0
        self._lone_passes = 0  # waiting for the others to end, or running
        self._limit: int | None = None
        self._said = self._has_grown = False
        self._successes = 0
        self._patience = FIRST_PATIENCE

    @property
    def batch_tokens(self) -> int | None:
        """A batch's share of the budget; None while there is no limit."""
        limit = self._limit
        return None if limit is None else max(limit // self._workers, 1)

    @contextmanager
    def hold(self, tokens: int, alone: bool = False) -> Iterator[None]:
        """Wait until so many tokens fit beside the passes that run, or until none runs."""
        with self._changed:
            self._lone_passes += alone
            self._changed.wait_for(lambda: self._admits(tokens, alone))
            self._in_memory += tokens
            self._most = max(self._most, self._in_memory)
        try:
            yield
        finally:
            with self._changed:
                self._lone_passes -= alone
                self._in_memory -= tokens
                self._changed.notify_all()

    def _admits(self, tokens: int, alone: bool) -> bool:
        if alone or self._lone_passes:
            return alone and self._in_memory == 0
        fits = self._limit is None or self._in_memory + tokens <= self._limit
        return fits or self._in_memory == 0

    def halve(self) -> None:
        """Allow half of what is in memory now, which was too much."""
        with self._changed:
            half = max(self._in_memory // 2, 1)
            self._limit = half if self._limit is None else min(half, self._limit)
            self._successes = 0
            if self._has_grown:
                self._patience *= 2
                self._has_grown = False
            if not self._said:
                self._said = True
                log.warning(
                    "memory ran out with %d padded tokens in it: going on with half of that, and "
                    "with more again when it goes well (a smaller gradients.batch_tokens or "
                    "gradients.workers avoids the retries)",
                    self._in_memory,
                )

    def succeeded(self) -> None:
        """A pass went well: after enough of them the budget grows."""
        with self._changed:
            if self._limit is None:
                return
            self._successes += 1
            if self._successes >= self._patience:
                doubled = 2 * self._limit
                self._limit = None if doubled >= self._most else doubled
                self._successes, self._has_grown = 0, True
                self._changed.notify_all()


class Schedule(Generic[Result]):
    """Runs `measure` over batches; every unit of every batch gets exactly one result.

    Args:
        measure: one pass over a batch; a result for each unit of it.
        does_not_fit: the result of a unit (as a batch of one) that is too large by itself.
        workers: threads that run a pass each; with 1, passes run in the calling thread.
    """

    def __init__(
        self,
        measure: Callable[[Batch], list[Result]],
        does_not_fit: Callable[[Batch], Result],
        workers: int,
    ) -> None:
        self._measure = measure
        self._does_not_fit = does_not_fit
        self._workers = workers
        self.budget = MemoryBudget(workers)

    def run(self, batches: Iterable[Batch]) -> Iterator[tuple[int, list[Result]]]:
        """Each batch's results with its place in `batches`, in the order of completion."""
        if self._workers == 1:
            yield from ((i, self._in_parts(batch)) for i, batch in enumerate(batches))
            return
        running: dict[Future[list[Result]], int] = {}
        threads = torch.get_num_threads()
        pool = ThreadPoolExecutor(self._workers, initializer=torch.set_num_threads, initargs=(1,))
        try:
            for i, batch in enumerate(batches):
                running[pool.submit(self._in_parts, batch)] = i
                if len(running) > self._workers:
                    yield from _completed(running)
            while running:
                yield from _completed(running)
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)  # a worker's setting is the next thread's default

    def _in_parts(self, batch: Batch) -> list[Result]:
        """A batch's results in its order, from as many passes as memory asks for."""
        n, share = batch.n_units, self.budget.batch_tokens
        if n == 1:
            return self._alone_if_need_be(batch)
        if share is None or batch.padded_tokens <= share:
            found = self._attempt(batch)
            if found is not None:
                return found
        middle = (n + 1) // 2
        halves = (batch.part(range(middle)), batch.part(range(middle, n)))
        return [result for half in halves for result in self._in_parts(half)]

    def _alone_if_need_be(self, unit: Batch) -> list[Result]:
        found = self._attempt(unit)
        if found is None and self._workers > 1:
            found = self._attempt(unit, alone=True)
        return [self._does_not_fit(unit)] if found is None else found

    def _attempt(self, batch: Batch, alone: bool = False) -> list[Result] | None:
        """One pass, or None where memory ran out; nothing of a failed pass is held then."""
        with self.budget.hold(batch.padded_tokens, alone):
            try:
                found = self._measure(batch)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            else:
                self.budget.succeeded()
                return found
            # Outside the handler: the error's traceback held the frames of the pass until here.
            free()
            self.budget.halve()
            return None


def free() -> None:
    """Free what only garbage holds, and give it back to the system."""
    gc.collect()
    return_free_memory()


def return_free_memory() -> None:
    """Give back to the system what the allocators keep of freed tensors.

    glibc keeps a heap for each thread that ever ran: a sweep grew by half a gigabyte with every
    point, all of it free.
    """
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
        if trim:
            trim(0)


def _completed(running: dict[Future[list[Result]], int]) -> Iterator[tuple[int, list[Result]]]:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        yield running.pop(future), future.result()
