"""Units of several rows beside their samples one by one: the same rows, the same batch.

A pair or a group runs each of its rows once, so it should cost what its samples cost. What differs
is the spectra: of one gradient of all the tokens, the shared prompt's once, in the place of one for
each row.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import nn

from benchmarks.cases import Workload, llama, smollm2
from benchmarks.timing import Spread, Tick, seconds_of
from gradsweep.engine import Batch
from gradsweep.engine.objectives import Objective, objective_named
from gradsweep.engine.passes import measure_batch
from gradsweep.models.projections import find_projections
from gradsweep.records import PROJECTIONS

LEGEND = """\
Time of a unit over that of its samples, the same rows in one batch: `dpo` of pairs, `rloo` of
groups of eight, against `sft` of every row; with rows and cosines of the members in the last
column. Medians over rounds in which they took turns, with their range.
"""


@dataclass(frozen=True)
class UnitCase:
    """One line of the table."""

    title: str
    objective: str
    rows: int
    """Of a unit."""
    build: Callable[[], Workload]


CASES = (
    *(
        UnitCase(f"SmolLM2-135M, {name}, T={length}", objective, rows, build)
        for length, cot in ((100, "none"), (250, "simplified"), (450, "detailed"))
        for name, objective, rows in (("a pair", "dpo", 2), ("a group of 8", "rloo", 8))
        for build in [partial(smollm2, cot, length, samples_per_batch=rows, n_batches=1)]
    ),
    UnitCase(
        "8B shapes, 2 layers, a pair, T=500",
        "dpo",
        2,
        partial(llama, 500, 350, n_batches=1, rows=2),
    ),
)


@dataclass(frozen=True)
class UnitTimes:
    """Ratios to the time of the samples one by one, round by round."""

    case: UnitCase
    unit: list[float]
    with_members: list[float]


def measure_units(cases: Sequence[UnitCase], rounds: int, tick: Tick) -> list[UnitTimes]:
    """Time every case: a warm-up, then the three ways in turns."""
    return [_measured(case, rounds, tick) for case in cases]


def _measured(case: UnitCase, rounds: int, tick: Tick) -> UnitTimes:
    tick(f"{case.title}: loading")
    workload = case.build()
    batch = _with_one_prompt(workload.batches[0])
    rewards = tuple(float(place % 2) for place in range(case.rows))
    unit = replace(batch, rows_of_unit=(case.rows,), rewards=rewards)
    ways: list[tuple[Objective, Batch]] = [
        (objective_named("sft"), batch),
        (objective_named(case.objective), unit),
        (objective_named(case.objective, members=True), unit),
    ]
    times: list[list[float]] = [[], [], []]
    for number in range(rounds + 1):
        tick(f"{case.title}: {f'round {number}/{rounds}' if number else 'warm-up'}")
        for place in [(number + i) % 3 for i in range(3)]:
            seconds = seconds_of(partial(_run, workload.model, *ways[place]))
            times[place] += [seconds] if number else []
    samples, units, members = times
    return UnitTimes(
        case,
        [a / b for a, b in zip(units, samples, strict=True)],
        [a / b for a, b in zip(members, samples, strict=True)],
    )


def _with_one_prompt(batch: Batch) -> Batch:
    """The rows answer one prompt, as those of a pair or group do."""
    start = int(batch.response_mask.any(dim=0).nonzero()[0])
    ids = batch.input_ids.clone()
    ids[:, :start] = ids[0, :start]
    return replace(batch, input_ids=ids)


def _run(model: nn.Module, objective: Objective, batch: Batch) -> None:
    measure_batch(model, find_projections(model, PROJECTIONS), batch, objective=objective)


def unit_table(measured: Sequence[UnitTimes]) -> str:
    """Write the section as Markdown."""
    lines = [
        f"| {m.case.title} | {_spread(m.unit)} | {_spread(m.with_members)} |" for m in measured
    ]
    head = "| case | unit / its samples | with members |\n|---|---|---|"
    return "\n".join([f"## Units of several rows\n\n{LEGEND}", head, *lines, ""])


def _spread(values: Sequence[float]) -> str:
    spread = Spread(statistics.median(values), min(values), max(values))
    return f"{spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f})"
