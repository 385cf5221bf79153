"""`verify`: the engine against the plain definition."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

from gradsweep.config import Config
from gradsweep.errors import UsageError
from gradsweep.progress import output_console, step_bar


def run(args: Sequence[str]) -> int:
    """A few samples recomputed by autograd and a float64 SVD of every weight gradient.

    Takes a run's overrides, and 2 samples unless n_samples says otherwise. Prints the worst
    relative error of every metric and projection; nothing is stored. Exit status 1 beyond
    tolerance.
    """
    if {"-h", "--help"} & set(args):
        usage = "usage: python -m gradsweep verify [--config-dir DIR] [axis=option|field=value ...]"
        print(f"{usage}\n\n{inspect.getdoc(run)}")
        return 0
    config = _one_point(args)
    # torch and transformers take seconds to import: not before the overrides are right.
    from gradsweep.doctor.verify import verification_table, verify

    with step_bar() as progress:
        task = progress.add_task("measuring", total=None)

        def start(total: int) -> Callable[[], None]:
            progress.update(task, description="weight gradients decomposed", total=total)
            return lambda: progress.advance(task)

        verification = verify(config, start)
    console = output_console()
    console.print(f"{config.axes} · {config.model.dtype.name}", soft_wrap=True)
    console.print(verification_table(verification))
    for reason in verification.skipped:
        console.print(reason, soft_wrap=True)
    verdict = "within tolerance" if verification.holds else "BEYOND TOLERANCE"
    summary = f"verify: {verification.n_samples} samples, {verdict}"
    console.print(summary, style="bold", soft_wrap=True)
    return int(not verification.holds)


def _one_point(args: Sequence[str]) -> Config:
    """The point that the arguments mean; `verify` takes 2 samples of it by default."""
    from gradsweep.cli.command_line import read_points
    from gradsweep.plan import checked_plan
    from gradsweep.plan.fit import require_memory_here

    line = read_points(args, "verify")
    if line.multirun:
        raise UsageError(
            "verify takes the overrides of one point (cot=detailed n_samples=3): leave out -m"
        )
    overrides = ["n_samples=2", *line.overrides]  # of two values for a field, the last counts
    config = checked_plan(overrides, False, line.source).points[0].config
    require_memory_here([config])
    return config
