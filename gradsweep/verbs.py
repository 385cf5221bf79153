"""The verbs: what can be asked about a grid, its results or its numbers; nothing is stored."""

from __future__ import annotations

import argparse
import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gradsweep.config import Config
from gradsweep.errors import ConfigError
from gradsweep.progress import console as progress_console
from gradsweep.records import AXES, METRICS

_VERIFY_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(bar_width=30),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
)


def run_verb(verb: str, args: Sequence[str]) -> int:
    """Raises ConfigError for a word that is no verb, listing those there are."""
    if verb not in VERBS:
        raise ConfigError(
            f"{verb!r} is neither a verb ({', '.join(VERBS)}) nor an override like cot=detailed; "
            "see python -m gradsweep --help"
        )
    return VERBS[verb](args)


def _plan(args: Sequence[str]) -> int:
    """The grid as a table: what would run, what is done, what is left out and why.

    Then what each model needs: memory for its weights, the hub's permission for a gated one.
    """
    from gradsweep.models.footprint import needs
    from gradsweep.run import MULTIRUN_FLAGS, checked_plan

    if {"-h", "--help"} & set(args):
        print("usage: python -m gradsweep plan [-m] [axis=option,... ...]\n\n" + str(_plan.__doc__))
        return 0
    overrides = [arg for arg in args if not arg.startswith("-")]
    unknown = set(args) - set(overrides) - MULTIRUN_FLAGS
    if unknown:
        raise ConfigError(f"plan takes overrides and -m, not {' '.join(sorted(unknown))}")
    plan = checked_plan(overrides, multirun=bool(MULTIRUN_FLAGS & set(args)))
    console = Console(highlight=False, markup=False)
    fixed = [axis for axis in AXES if axis not in plan.varied]
    for axis in fixed:
        console.print(f"{axis:<12} {getattr(plan.points[0].axes, axis)}", soft_wrap=True)
    table = Table("point", *plan.varied, "state")
    for point in plan.points:
        values = [getattr(point.axes, axis) for axis in plan.varied]
        table.add_row(point.point_id, *values, point.state.value)
    console.print(table)
    for reason in plan.excluded:
        console.print(f"left out: {reason}", soft_wrap=True)
    for model in plan.models:
        console.print(f"{model.name}: {needs(model)}", soft_wrap=True)
    console.print(plan.counted, style="bold", soft_wrap=True)
    return 0


def _status(args: Sequence[str]) -> int:
    """The state of every point in a results folder, from its files alone."""
    from gradsweep.store.status import point_statuses

    parser = _parser("status", _status)
    results = parser.parse_args(args).results
    console = Console(highlight=False, markup=False)
    statuses = point_statuses(results)
    width = max(len(status.axes) for status in statuses)
    for status in statuses:
        bad = f", {status.n_bad} not measured" if status.n_bad else ""
        line = f"{status.point_id}  {status.axes:<{width}}  {status.state.value:<7}  "
        line += f"{status.n_stored} samples{bad}  {status.note}"
        console.print(line.rstrip(), soft_wrap=True)
    counts = Counter(status.state.value for status in statuses)
    console.print(", ".join(f"{n} {state}" for state, n in counts.items()), style="bold")
    return 0


def _report(args: Sequence[str]) -> int:
    """Comparison tables in the terminal; a page, tables, figures and findings as files.

    They are written to results/reports/<name>/: index.html (everything in one page, for a
    browser), findings.md, tables/ (CSV, LaTeX, Markdown) and figures/ (PDF, PNG).
    """
    from gradsweep.selection import selection
    from gradsweep.show import show_report

    parser = argparse.ArgumentParser(
        "python -m gradsweep report",
        description=inspect.getdoc(_report),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="results|sweep|axis=value",
        help="a results folder (default: results) or a sweep, by name or folder; "
        "axis=value,value keeps only these",
    )
    parser.add_argument("--sweep", help="only the points of this sweep (default: all points)")
    parser.add_argument(
        "--metric",
        type=_metrics,
        default=("nuclear_norm",),
        help=f"one or several, separated by commas, of {', '.join(METRICS)}",
    )
    parser.add_argument(
        "--loss",
        choices=("mean", "sum"),
        default="mean",
        help="over a sample's response tokens; sum is computed from what is stored",
    )
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=10.0,
        metavar="SECONDS",
        help="write the page again as results come (looks every 10 seconds), until all are there",
    )
    given = parser.parse_args(args)
    chosen = selection(given.words, given.sweep)
    if given.watch:
        from gradsweep.watch import watch_report

        watch_report(chosen, given.metric, given.loss, given.watch)
    else:
        show_report(chosen, given.metric, given.loss)
    return 0


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"seconds must be from 1 to 3600, got {text}")
    return seconds


def _metrics(text: str) -> tuple[str, ...]:
    """`nuclear_norm,effective_rank`, each once."""
    metrics = tuple(dict.fromkeys(text.split(",")))
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown metric {unknown[0]!r}; there are {', '.join(METRICS)}"
        )
    return metrics


def _verify(args: Sequence[str]) -> int:
    """A few samples recomputed by autograd and a float64 SVD of every weight gradient.

    Takes a run's overrides, and 2 samples unless n_samples says otherwise. Prints the worst
    relative error of every metric and projection; nothing is stored. Exit status 1 beyond
    tolerance.
    """
    if {"-h", "--help"} & set(args):
        usage = "usage: python -m gradsweep verify [axis=option ...] [field=value ...]"
        print(f"{usage}\n\n{inspect.getdoc(_verify)}")
        return 0
    config = _one_point(args)
    # torch and transformers take seconds to import: not before the overrides are right.
    from gradsweep.verify import verification_table, verify

    with Progress(*_VERIFY_COLUMNS, console=progress_console) as progress:
        task = progress.add_task("measuring", total=None)

        def start(total: int) -> Callable[[], None]:
            progress.update(task, description="weight gradients decomposed", total=total)
            return lambda: progress.advance(task)

        found = verify(config, start)
    console = Console(highlight=False, markup=False)
    console.print(f"{config.axes} · {config.model.dtype.name}", soft_wrap=True)
    console.print(verification_table(found))
    for reason in found.skipped:
        console.print(reason, soft_wrap=True)
    verdict = "within tolerance" if found.holds else "BEYOND TOLERANCE"
    console.print(f"verify: {found.n_samples} samples, {verdict}", style="bold", soft_wrap=True)
    return int(not found.holds)


def _one_point(args: Sequence[str]) -> Config:
    """The point of a verb's overrides; `verify` takes 2 samples of it by default."""
    from gradsweep.composition import compose
    from gradsweep.run import checked_plan

    flags = [arg for arg in args if arg.startswith("-")]
    if flags:
        raise ConfigError(
            f"verify takes the overrides of one point (cot=detailed n_samples=3), not {flags[0]}"
        )
    overrides = ["n_samples=2", *args]  # of two values for a field, the last counts
    checked_plan(overrides, multirun=False)
    return compose(*overrides)


def _doctor(args: Sequence[str]) -> int:
    """The study's known failure signatures: ok, warning or problem, and what to do.

    A stored point, or every stored point, is checked from its files. Overrides of one point are
    tried: its data, its encoding and a pass over two samples; nothing is stored. Exit status 1
    when there is a problem.
    """
    from gradsweep.doctor.command import doctor

    return doctor(args, str(inspect.getdoc(_doctor)))


def _compare(args: Sequence[str]) -> int:
    """Two stored points, or every matched pair of two filters: how far apart, and is it chance?

    compare 3f2a 91bc                    two points, by id or its beginning
    compare cot=none cot=detailed        every pair with the same model, dataset and correctness
    compare cot=none,dataset=gsm8k cot=detailed,dataset=gsm8k

    Prints a table for each pair and writes figures to results/reports/compare__<A>__<B>/.
    """
    from gradsweep.compare import compare

    return compare(args, str(inspect.getdoc(_compare)))


def _parser(verb: str, function: Callable[[Sequence[str]], int]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(f"python -m gradsweep {verb}", description=function.__doc__)
    parser.add_argument(
        "results",
        nargs="?",
        type=Path,
        default=Path("results"),
        help="the results folder, store.root (default: results)",
    )
    return parser


VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "plan": _plan,
    "status": _status,
    "report": _report,
    "verify": _verify,
    "doctor": _doctor,
    "compare": _compare,
}
