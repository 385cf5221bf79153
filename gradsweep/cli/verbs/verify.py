"""`verify`: the engine against the plain definition."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gradsweep.config import Config
from gradsweep.errors import ConfigError, UsageError
from gradsweep.progress import output_console, step_bar

if TYPE_CHECKING:
    from gradsweep.doctor.comparison import Agreement
    from gradsweep.doctor.verify import Verification

EVERY_LAYER = "--all"
_USAGE = (
    f"python -m gradsweep verify [{EVERY_LAYER}] [--config-dir DIR] [axis=option|field=value ...]"
)


def run(args: Sequence[str]) -> int:
    """A few samples measured, and computed again from the definition: autograd and a float64 SVD.

    Takes a run's overrides, and 2 samples unless n_samples says otherwise; compares all
    projections in the first, the middle and the last layer, or in every layer with --all.
    (a) Each row agrees with a float64 SVD of its own factors: what gradsweep adds.
    (b) Each gradient is at most twice as far from the one that autograd computes with the model in
    float64 as autograd's own in the model's precision: what that precision costs on this machine.
    Where float64 does not fit in memory, it says so, and what it compared with instead. Nothing is
    stored. Exit status 1 beyond tolerance.
    """
    if {"-h", "--help"} & set(args):
        print(f"usage: {_USAGE}\n\n{inspect.getdoc(run)}")
        return 0
    config = _one_point([word for word in args if word != EVERY_LAYER])
    # torch and transformers take seconds to import: not before the overrides are right.
    from gradsweep.doctor.verify import verify

    with step_bar() as progress:

        def start(description: str, total: int) -> Callable[[], None]:
            task = progress.add_task(description, total=total)
            return lambda: progress.advance(task)

        verification = verify(config, start, every_layer=EVERY_LAYER in args)
    _show(config, verification)
    return int(not verification.holds)


def _show(config: Config, verification: Verification) -> None:
    from gradsweep.doctor.tables import agreement_tables

    out = output_console()
    out.print(f"{config.axes} · {config.model.dtype.name}", soft_wrap=True)
    for agreement in verification.agreements:
        for table in agreement_tables(agreement):
            out.print(table)
        if agreement.weaker:
            out.print(_weaker(agreement), soft_wrap=True)
    for reason in verification.skipped:
        out.print(reason, soft_wrap=True)
    layers, n_layers = verification.layers, verification.n_layers
    if len(layers) < n_layers:
        listed = ", ".join(map(str, layers))
        out.print(f"layers {listed} of {n_layers}; {EVERY_LAYER} compares every one")
    verdict = "within tolerance" if verification.holds else "BEYOND TOLERANCE"
    out.print(f"verify: {verification.n_samples} samples, {verdict}", style="bold", soft_wrap=True)


def _weaker(agreement: Agreement) -> str:
    """What a check without float64 is worth."""
    if agreement.truth:
        return f"weaker check: {agreement.weaker}, so the truth is autograd in {agreement.truth}"
    return (
        f"weaker check: {agreement.weaker}, so gradients are compared with autograd's in the "
        f"engine's own precision, which rounds as much"
    )


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
    if config.training.trains:
        raise ConfigError(
            f"verify compares the gradients of a model that stands still, which are a training "
            f"point's at step 0: leave out training={config.training.kind.name}"
        )
    if config.model.placement:
        raise ConfigError(
            f"verify runs in one process: leave out model.placement={config.model.placement.name}, "
            "with which the gradients are the same"
        )
    require_memory_here([config])
    return config
