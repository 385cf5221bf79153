"""What rows of single attention heads cost: the same batches with and without `gradients.heads`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.cases import Workload, llama, smollm2
from benchmarks.timing import Spread, Tick, seconds_of
from gradsweep.config import SpectraOptions
from gradsweep.engine.passes import Engine
from gradsweep.models.projections import find_projections
from gradsweep.records import PROJECTIONS

LEGEND = """\
Time with `gradients.heads=true` over that without, of the same batches in one process. Medians
over rounds in which the two took turns, with their range.
"""


@dataclass(frozen=True)
class HeadCase:
    """One line of the table."""

    title: str
    build: Callable[[], Workload]


CASES = (
    *(
        HeadCase(f"SmolLM2-135M, T={length}", partial(smollm2, cot, length))
        for length, cot in ((100, "none"), (450, "detailed"))
    ),
    *(
        HeadCase(f"8B shapes, 2 layers, T={length}", partial(llama, length, response))
        for length, response in ((100, 20), (500, 350))
    ),
)
QUICK = (HeadCase("tiny random Llama, T=48", partial(llama, 48, 24, width=256, vocabulary=512)),)


@dataclass(frozen=True)
class HeadTimes:
    """Seconds without heads, and ratios to them, round by round."""

    case: HeadCase
    without: Spread
    ratio: Spread


def measure_heads(cases: Sequence[HeadCase], rounds: int, tick: Tick) -> list[HeadTimes]:
    """Time every case: a warm-up, then both ways in turns."""
    return [_measured(case, rounds, tick) for case in cases]


def _measured(case: HeadCase, rounds: int, tick: Tick) -> HeadTimes:
    tick(f"{case.title}: loading")
    workload = case.build()
    times: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds + 1):
        tick(f"{case.title}: {f'round {number}/{rounds}' if number else 'warm-up'}")
        for heads in (False, True) if number % 2 else (True, False):
            seconds = seconds_of(partial(_run, workload, heads)) / len(workload.batches)
            times[heads] += [seconds] if number else []
    ratios = [a / b for a, b in zip(times[True], times[False], strict=True)]
    return HeadTimes(case, Spread.of(times[False]), Spread.of(ratios))


def _run(workload: Workload, heads: bool) -> None:
    sites = find_projections(workload.model, PROJECTIONS)
    with Engine(workload.model, sites, SpectraOptions(heads=heads)) as engine:
        for _ in engine.measure_all(workload.batches):
            pass


def head_table(measured: Sequence[HeadTimes]) -> str:
    """Write the section as Markdown."""
    lines = [
        f"| {m.case.title} | {m.without.median:.2f} s | "
        f"{m.ratio.median:.2f} ({m.ratio.low:.2f} to {m.ratio.high:.2f}) |"
        for m in measured
    ]
    head = "| case | a sample without heads | with / without |\n|---|---|---|"
    return "\n".join([f"## Heads\n\n{LEGEND}", head, *lines, ""])
