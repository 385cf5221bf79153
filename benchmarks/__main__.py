"""`python -m benchmarks`: measure, print a Markdown table, and write it with --out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.cases import ALL, GROWTH, MAIN, QUICK, Case
from benchmarks.environment import environment, load_average
from benchmarks.heads import CASES as HEADS
from benchmarks.heads import QUICK as QUICK_HEADS
from benchmarks.heads import head_table, measure_heads
from benchmarks.memory import peak_in_own_process
from benchmarks.table import Measured, report
from benchmarks.timing import measure
from benchmarks.training import CASES as TRAINING
from benchmarks.training import QUICK as QUICK_TRAINING
from benchmarks.training import measure_training, training_table
from benchmarks.units import CASES as UNITS
from benchmarks.units import measure_units, unit_table

console = Console(stderr=True, highlight=False, markup=False)
"""Progress goes to stderr: the table can be piped."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status; 130 when stopped, with the table of what was measured until then."""
    given = _arguments(argv)
    cases = _cases(given)
    busy_before, status = load_average(), 0
    measured: list[Measured] = []
    try:
        for number, case in enumerate(cases, 1):
            measured.append(_measured(case, f"[{number}/{len(cases)}] {case.name}", given))
    except KeyboardInterrupt:
        status = 130
    load = {"load average": f"{busy_before} before, {load_average()} after (1 minute)"}
    growth = [m for m in measured if m.case.name in GROWTH]
    text = report([m for m in measured if m not in growth], growth, environment() | load)
    if given.units and not status:
        text += "\n" + unit_table(measure_units(UNITS, given.rounds, _tick))
    if given.heads and not status:
        of_heads = QUICK_HEADS if given.quick else HEADS
        text += "\n" + head_table(measure_heads(of_heads, given.rounds, _tick))
    if given.training and not status:
        of_training = QUICK_TRAINING if given.quick else TRAINING
        text += "\n" + training_table(measure_training(of_training, given.rounds, _tick))
    print(text)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text, encoding="utf-8")
        console.print(f"written to {given.out}")
    return status


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--cases",
        type=lambda text: text.split(","),
        help=f"comma-separated, of: {', '.join(ALL)} (default: all but growth_* and quick)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="of the fast methods (default: 3)")
    parser.add_argument(
        "--plain-rounds", type=int, default=1, help="of the plain method; 0 skips it (default: 1)"
    )
    parser.add_argument("--growth", action="store_true", help="also growth in T, layers and d")
    parser.add_argument("--units", action="store_true", help="pairs and groups, beside samples")
    parser.add_argument(
        "--training", action="store_true", help="what watching a training run costs"
    )
    parser.add_argument("--heads", action="store_true", help="what rows of single heads cost")
    parser.add_argument("--no-memory", action="store_true", help="skip the peak memory")
    parser.add_argument("--quick", action="store_true", help="a tiny model, seconds: does it run?")
    parser.add_argument("--out", type=Path, help="write the table to this file too")
    given = parser.parse_args(argv)
    unknown = set(given.cases or []) - ALL.keys()
    if unknown:
        parser.error(f"--cases: {', '.join(sorted(unknown))} unknown; there are {', '.join(ALL)}")
    if given.rounds < 1 or given.plain_rounds < 0:
        parser.error("--rounds must be at least 1 and --plain-rounds at least 0")
    return given


def _cases(given: argparse.Namespace) -> list[Case]:
    if given.quick:
        return list(QUICK.values())
    if (given.units or given.training or given.heads) and not given.cases:
        return []
    named = [ALL[name] for name in given.cases] if given.cases else list(MAIN.values())
    return named + [case for case in GROWTH.values() if given.growth and case not in named]


def _measured(case: Case, label: str, given: argparse.Namespace) -> Measured:
    with console.status(label) as status:

        def tick(doing: str) -> None:
            if console.is_terminal:
                status.update(f"{label}: {doing}")
            else:
                console.print(f"{label}: {doing}")

        tick("loading")
        timings = measure(case, case.build(), given.rounds, given.plain_rounds, tick)
        console.print(f"{label}: timed")
        measured = Measured(case, timings)
        if case.name in GROWTH or given.no_memory:
            return measured
        for method in _methods_for_memory(case, given):
            tick(f"peak memory, {method}")
            measured.peaks[method] = peak_in_own_process(case.name, method)
        console.print(f"{label}: peak memory measured")
    return measured


def _tick(doing: str) -> None:
    console.print(doing)


def _methods_for_memory(case: Case, given: argparse.Namespace) -> list[str]:
    methods = ["gradsweep", "frozen", "training"]
    if case.checkpointed:
        methods.insert(1, "gradsweep_checkpointed")
    return [*methods, "plain"] if case.plain and given.plain_rounds else methods


if __name__ == "__main__":
    raise SystemExit(main())
