"""Times of several methods, taken in turns so that a busy moment of the machine hits them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from benchmarks.cases import Case, Workload
from benchmarks.methods import METHODS, Method
from gradsweep.engine import Batch

FAST = ("gradsweep", "frozen", "training")
"""Methods that are timed in every round; the plain one only in the first `plain_rounds`."""

Tick = Callable[[str], None]


@dataclass(frozen=True)
class Spread:
    """Median and range of some values."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class Timings:
    """Seconds per sample; an entry of `rounds` has the methods that were timed side by side."""

    rounds: list[dict[str, float]] = field(default_factory=list)

    def ratio(self, over: str, under: str) -> Spread | None:
        """Compare two methods' times of the same rounds; None where no round has both."""
        ratios = [r[over] / r[under] for r in self.rounds if {over, under} <= r.keys()]
        return Spread.of(ratios) if ratios else None

    def seconds(self, method: str) -> Spread | None:
        times = [r[method] for r in self.rounds if method in r]
        return Spread.of(times) if times else None


def measure(case: Case, workload: Workload, rounds: int, plain_rounds: int, tick: Tick) -> Timings:
    """Warm up, then alternate over all batches, each round beginning with another method.

    The plain method runs last in the first `plain_rounds`, on the first batch alone: it takes
    minutes, and every sample of a case has the same length.
    """
    for name in FAST:
        tick(f"warm-up, {name}")
        METHODS[name](workload.model, workload.batches[:1])
    timings = Timings()
    for r in range(rounds):
        first = r % len(FAST)
        order = [*FAST[first:], *FAST[:first]]
        plain = ["plain"] if case.plain and r < plain_rounds else []
        times = {}
        for name in [*order, *plain]:
            tick(f"round {r + 1}/{rounds}, {name}")
            batches = workload.batches[:1] if name == "plain" else workload.batches
            times[name] = _seconds_per_sample(METHODS[name], workload.model, batches)
        timings.rounds.append(times)
    return timings


def _seconds_per_sample(method: Method, model: nn.Module, batches: Sequence[Batch]) -> float:
    seconds = seconds_of(lambda: method(model, batches))
    return seconds / sum(len(batch.input_ids) for batch in batches)


def seconds_of(function: Callable[[], object]) -> float:
    """Call the function and wait for what it started on a device."""
    _synchronise()
    start = time.perf_counter()
    function()
    _synchronise()
    return time.perf_counter() - start


def _synchronise() -> None:
    """Wait for CUDA, where work goes on after the call that asked for it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
