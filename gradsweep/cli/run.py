"""A run from the command line: plan and check every point, let Hydra run them, show the result."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gradsweep.config.composition import checked
from gradsweep.jobs.command import GridLauncher, grid_launcher, launched_lines
from gradsweep.plan import Plan, checked_plan, freeze
from gradsweep.progress import console, show_error
from gradsweep.store import PointPaths, PointState, SweepPaths, failure, point_state
from gradsweep.tracking import uploads_left

UPLOAD_SECONDS = 3.0
"""Within which nobody wonders why a command that has shown its results does not end."""
MULTIRUN_FLAGS = {"-m", "--multirun"}


def run(args: Sequence[str]) -> int:
    """Run `args` as Hydra arguments; returns the exit status."""
    overrides = [arg for arg in args if not arg.startswith("-")]
    multirun = bool(MULTIRUN_FLAGS & set(args))
    if set(args) - set(overrides) - MULTIRUN_FLAGS:
        # --cfg, --info, --config-dir and the like are Hydra's own business.
        return _hydra(args)
    launcher = checked(lambda: grid_launcher(overrides, multirun))
    plan = checked_plan(overrides, multirun)
    if multirun:
        command = ["python", "-m", "gradsweep", *args]
        sweep = freeze(plan, command)
        console.print(_headline(plan), soft_wrap=True)
        if launcher:
            return _launch(plan, sweep, launcher, command)
        args = [*args, f"sweep={plan.name}"]
    status = _hydra(args)
    status = _conclude(plan, sweep if multirun else None) or status
    if left := uploads_left(UPLOAD_SECONDS):
        said = f"W&B is still uploading {left} points; Ctrl-C leaves that to `gradsweep sync`"
        console.print(said, style="dim", soft_wrap=True)
    return status


def _hydra(args: Sequence[str]) -> int:
    """Hydra reads `sys.argv` and ends by SystemExit when a point failed."""
    from gradsweep.cli.point import main

    sys.argv = [sys.argv[0], *args]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _launch(plan: Plan, sweep: SweepPaths, launcher: GridLauncher, command: Sequence[str]) -> int:
    """Hand the plan over; without `wait`, the points' results are not there yet."""
    launched = launcher.submit(plan, command)
    for line in launched_lines(launched, plan):
        console.print(line, soft_wrap=True)
    if launcher.scheduler.settings.wait or len(launched.done) == len(plan.points):
        return _conclude(plan, sweep)
    return 0


def _headline(plan: Plan) -> str:
    lines = [f"sweep {plan.name}: {plan.counted}"]
    if plan.duplicates:
        lines.append(f"left out: {plan.duplicates} cells that are the same point as another")
    lines += [f"left out: {reason}" for reason in plan.excluded]
    return "\n".join(lines)


def _conclude(plan: Plan, sweep: SweepPaths | None) -> int:
    """Show what is stored now, and say which points are not done and why."""
    from gradsweep.report.show import show_results

    paths = [PointPaths(Path(plan.results), point.point_id) for point in plan.points]
    unfinished = [
        (point, p)
        for point, p in zip(plan.points, paths, strict=True)
        if point_state(p) is not PointState.DONE
    ]
    done = [p.point_id for p in paths if point_state(p) is PointState.DONE]
    if done:
        name = sweep.name if sweep else plan.name
        show_results(Path(plan.results), done, name)
    for point, p in unfinished:
        show_error(f"{plan.label(point)}: {_why(p)}", title="not done:")
    return int(bool(unfinished))


def _why(paths: PointPaths) -> str:
    failed = failure(paths)
    if failed is None:
        return f"{point_state(paths).value}; run the same command again to go on"
    return f"{failed['error']}: {failed['message']} ({failed['file']})"
