"""What measuring costs a training run: a plain loop, watched but idle, and with every update.

The same steps of AdamW on the same batch, in turns; nothing but `gradsweep.watch` differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import gradsweep
from benchmarks.cases import Workload, llama, smollm2
from benchmarks.timing import Spread, Tick, seconds_of
from gradsweep.engine import Batch

LEGEND = """\
Time of an optimizer step (forward, backward, AdamW) over that of the same step unwatched: with the
watch installed and nothing due, and with `update` rows of every layer. Medians over rounds in which
they took turns, with their range; and how many operations of torch an idle watch adds to a step.
"""
NEVER = 10**9


@dataclass(frozen=True)
class TrainingCase:
    """One line of the table."""

    title: str
    build: Callable[[], Workload]


CASES = (
    TrainingCase("SmolLM2-135M, 4 × 100 tokens", partial(smollm2, "none", 100, 4, 1)),
    TrainingCase("SmolLM2-135M, 4 × 450 tokens", partial(smollm2, "detailed", 450, 4, 1)),
)
QUICK = (TrainingCase("tiny", partial(llama, 16, 8, width=64, vocabulary=64, n_batches=1, rows=2)),)


@dataclass(frozen=True)
class TrainingTimes:
    """Ratios to the time of an unwatched step, round by round."""

    case: TrainingCase
    idle: list[float]
    update: list[float]
    seconds: Spread
    """Of an unwatched step."""
    operations: int
    """Of torch, that an idle watch adds to a step."""


def measure_training(cases: Sequence[TrainingCase], rounds: int, tick: Tick) -> list[TrainingTimes]:
    """Time every case: a warm-up, then the three ways in turns."""
    return [_measured(case, rounds, tick) for case in cases]


def _measured(case: TrainingCase, rounds: int, tick: Tick) -> TrainingTimes:
    tick(f"{case.title}: loading")
    workload = case.build()
    model, batch = workload.model.requires_grad_(True).train(), workload.batches[0]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    ways: dict[str, int | None] = {"plain": None, "idle": NEVER, "update": 1}
    times: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds + 1):
        tick(f"{case.title}: {f'round {number}/{rounds}' if number else 'warm-up'}")
        for name in [names[(number + i) % 3] for i in range(3)]:
            seconds = _step_seconds(model, optimizer, batch, ways[name])
            times[name] += [seconds] if number else []
    return TrainingTimes(
        case,
        [a / b for a, b in zip(times["idle"], times["plain"], strict=True)],
        [a / b for a, b in zip(times["update"], times["plain"], strict=True)],
        Spread.of(times["plain"]),
        _idle_operations(model, optimizer, batch),
    )


def _step_seconds(
    model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, every: int | None
) -> float:
    """Seconds of the last of three steps: an idle watch measures the first one, and the memory that
    this took is given back in the second."""
    with _watching(model, optimizer, every):
        for _ in range(2):
            _step(model, optimizer, batch)
        return seconds_of(partial(_step, model, optimizer, batch))


def _idle_operations(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> int:
    """Operations of torch that an idle watch adds to a step: exact where clocks are not."""
    counts = []
    for every in (None, NEVER):
        with _watching(model, optimizer, every):
            _step(model, optimizer, batch)
            with _Counter() as counter:
                _step(model, optimizer, batch)
            counts.append(counter.operations)
    return counts[1] - counts[0]


class _Counter(TorchDispatchMode):
    operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        return func(*args, **(kwargs or {}))


def _watching(
    model: nn.Module, optimizer: torch.optim.Optimizer, every: int | None
) -> AbstractContextManager[object]:
    if every is None:
        return nullcontext()
    return gradsweep.watch(model, optimizer, update_every=every, layers=1)


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    labels = batch.input_ids.masked_fill(~batch.response_mask, -100)
    model(input_ids=batch.input_ids, labels=labels).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def training_table(measured: Sequence[TrainingTimes]) -> str:
    """Write the section as Markdown."""
    lines = [
        f"| {m.case.title} | {m.seconds.median:.2f} s | {_ratio(m.idle)}"
        f" | {m.operations} | {_ratio(m.update)} |"
        for m in measured
    ]
    head = (
        "| case | a step | watched, idle | operations more | every update |\n|---|---|---|---|---|"
    )
    return "\n".join([f"## A training run\n\n{LEGEND}", head, *lines, ""])


def _ratio(values: Sequence[float]) -> str:
    spread = Spread.of(values)
    return f"{spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f})"
