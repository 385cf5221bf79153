"""Scheduling within memory, on passes that only pretend: every sample has one result, in place."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from helpers.patience import PATIENCE_SECONDS

from gradsweep.engine import Batch, make_batch
from gradsweep.engine.out_of_memory import is_out_of_memory
from gradsweep.engine.schedule import FIRST_PATIENCE, Schedule

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: ..."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("Triton Error [CUDA]: out of memory"),
]


@pytest.fixture(autouse=True)
def small_heap() -> Iterator[None]:
    """Every pretended failure collects garbage, which takes long beside a whole test session's."""
    gc.freeze()
    yield
    gc.unfreeze()


class Memory:
    """Passes over it fail when more than `capacity` padded tokens are in it at the same time."""

    def __init__(self, capacity: int, error: Exception | None = None) -> None:
        self.capacity = capacity
        self.passes: list[int] = []
        """Padded tokens of each pass that went well."""
        self.failures = 0
        self._error = error or MemoryError()
        self._held = 0
        self._lock = threading.Lock()

    def measure(self, batch: Batch) -> list[int]:
        """The first token of each sample, which names it."""
        with self._holding(batch.padded_tokens):
            return batch.input_ids[:, 0].tolist()

    @contextmanager
    def _holding(self, tokens: int) -> Iterator[None]:
        with self._lock:
            if self._held + tokens > self.capacity:
                self.failures += 1
                raise self._error
            self._held += tokens
        try:
            yield
            self.passes.append(tokens)
        finally:
            with self._lock:
                self._held -= tokens


def batch_of(*names: int, length: int = 10) -> Batch:
    ids = torch.tensor(names)[:, None].expand(-1, length).contiguous()
    return make_batch(ids, torch.ones_like(ids), None)


def too_large(sample: Batch) -> int:
    return -int(sample.input_ids[0, 0])


def schedule(measure: Callable[[Batch], list[int]], workers: int = 1) -> Schedule[int]:
    return Schedule(measure, too_large, workers)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["cuda", "python", "cpu", "cublas", "triton"])
def test_too_large_batches_are_cut_and_every_sample_is_measured_once(
    error: Exception, workers: int
) -> None:
    memory = Memory(25, error)
    batches = [batch_of(*range(8 * i + 1, 8 * i + 9)) for i in range(12)]
    found = dict(schedule(memory.measure, workers).run(batches))
    assert found == {i: batch.input_ids[:, 0].tolist() for i, batch in enumerate(batches)}
    assert memory.failures > 0
    assert sum(memory.passes) == 12 * 80


def test_without_trouble_batches_stay_whole() -> None:
    memory = Memory(10**9)
    batches = [batch_of(1, 2, 3)] * 5
    assert [place for place, _ in schedule(memory.measure).run(batches)] == list(range(5))
    assert memory.passes == [30] * 5


def test_after_a_halving_the_next_batches_do_not_fail_first() -> None:
    memory = Memory(20)
    list(schedule(memory.measure).run([batch_of(1, 2, 3, 4)] * (FIRST_PATIENCE // 2)))
    assert memory.failures == 1
    assert set(memory.passes) == {20}


def test_the_budget_grows_back_when_there_is_memory_again() -> None:
    memory = Memory(10)
    whole = batch_of(1, 2, 3, 4)
    running = schedule(memory.measure)
    list(running.run([whole]))
    assert set(memory.passes) == {10}
    memory.capacity = 10**9
    list(running.run([whole] * (10 * FIRST_PATIENCE)))
    assert memory.passes[-1] == 40
    assert 20 in memory.passes
    assert running.budget.batch_tokens is None


def test_growing_into_the_limit_again_becomes_rare() -> None:
    memory = Memory(20)
    n_batches = 40 * FIRST_PATIENCE
    list(schedule(memory.measure).run([batch_of(1, 2, 3, 4)] * n_batches))
    assert 1 < memory.failures < 10
    assert sum(memory.passes) == n_batches * 40


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sample_that_fits_in_no_way_is_told_apart(workers: int) -> None:
    memory = Memory(50)
    batches = [batch_of(1, 2, 3), batch_of(4, length=60), batch_of(5, 6)]
    found = dict(schedule(memory.measure, workers).run(batches))
    assert found == {0: [1, 2, 3], 1: [-4], 2: [5, 6]}


def test_samples_that_only_fit_alone_are_measured_one_after_the_other() -> None:
    memory = Memory(100)
    together = threading.Barrier(2)
    first_two = iter([1, 2])

    def measure(batch: Batch) -> list[int]:
        with memory._holding(batch.padded_tokens):
            if next(first_two, None):
                together.wait(PATIENCE_SECONDS)
            return batch.input_ids[:, 0].tolist()

    memory.capacity = 160
    batches = [batch_of(i, length=80) for i in range(1, 21)]
    running = schedule(measure, workers=2)
    results = running.run(batches)
    found = dict([next(results)])
    memory.capacity = 100  # from now on two at a time are too many
    found |= dict(results)
    assert found == {i: [i + 1] for i in range(20)}


def test_other_errors_are_not_swallowed() -> None:
    def broken(batch: Batch) -> list[int]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    for workers in (1, 2):
        with pytest.raises(RuntimeError, match="mat1"):
            list(schedule(broken, workers).run([batch_of(1, 2)] * 3))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_failed_pass_holds_nothing_when_the_next_one_starts() -> None:
    held: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []

    def greedy(batch: Batch) -> list[int]:
        alive.append(sum(reference() is not None for reference in held))
        activations = torch.ones(10)
        held.append(weakref.ref(activations))
        if len(batch.input_ids) > 1:
            cycle: list[object] = [activations]
            cycle.append(cycle)
            raise MemoryError
        return [0]

    gc.disable()
    try:
        list(schedule(greedy).run([batch_of(1, 2, 3, 4)]))
    finally:
        gc.enable()
    assert alive == [0] * len(alive)
    assert len(alive) > 4


def test_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    memory = Memory(10)
    list(schedule(memory.measure, workers=2).run([batch_of(1, 2, 3, 4)] * 30))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "memory ran out with" in said[0]
    assert "gradients.batch_tokens" in said[0]
