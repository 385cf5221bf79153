"""`plan`: what a command line would do."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from gradsweep.errors import ConfigError
from gradsweep.records import AXES


def run(args: Sequence[str]) -> int:
    """The grid as a table: what would run, what is done, what is left out and why.

    Then what each model needs: memory for its weights, the hub's permission for a gated one.
    """
    from gradsweep.models.footprint import needs
    from gradsweep.run import MULTIRUN_FLAGS, checked_plan

    if {"-h", "--help"} & set(args):
        print("usage: python -m gradsweep plan [-m] [axis=option,... ...]\n\n" + str(run.__doc__))
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
