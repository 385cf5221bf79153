"""A run from the command line: plan and check every point, let Hydra run them, show the result."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gradsweep.cli.command_line import CommandLine, read_command_line
from gradsweep.cli.processes import join, speak_alone
from gradsweep.cli.time_left import TimeLeft
from gradsweep.config.composition import checked
from gradsweep.config.overrides import quoted
from gradsweep.errors import StoreError, counted
from gradsweep.jobs.command import GridLauncher, grid_launcher, launched_lines
from gradsweep.plan import Plan, PlannedPoint, checked_plan, freeze
from gradsweep.plan.fit import require_memory_here
from gradsweep.plan.forecast import forecast
from gradsweep.progress import console, show_error
from gradsweep.store import PointPaths, PointState, SweepPaths, failure, point_state
from gradsweep.store.metadata import read_manifest
from gradsweep.store.place import require_writable
from gradsweep.tracking import uploads_left

NAMED = 3
"""Points that a line names of those that are not done for one reason."""
UPLOAD_SECONDS = 3.0
"""Within which nobody wonders why a command that has shown its results does not end."""
SWEEPER = "hydra_plugins.gradsweep_launcher.sweeper.PlannedSweeper"
"""Runs the points of the manifest, each once, and no cell that is not a point."""


def run(args: Sequence[str], plan: Plan | None = None) -> int:
    """Run `args` as Hydra arguments; returns the exit status.

    Args:
        args: of the command line.
        plan: of the same arguments, where somebody has made it.

    Raises:
        UsageError: the command line cannot be read.
        ConfigError, DataError: what no point could run with.
        StoreError: there are points to run, and store.root cannot be written.
    """
    speak_alone(args)
    line = read_command_line(args)
    if (words := line.prints) is not None:
        return checked(lambda: _hydra(words))
    launcher = checked(lambda: grid_launcher(line.overrides, line.multirun, line.source))
    plan = plan or checked_plan(line.overrides, line.multirun, line.source)
    try:
        require_writable(Path(plan.results))
    except StoreError as error:
        if plan.count(PointState.DONE) < len(plan.points):
            raise
        console.print(f"note: no figures: {error}", soft_wrap=True)
        return _conclude(plan, None, figures=False)
    waiting = [point.config for point in plan.points if point.state is not PointState.DONE]
    rank = join(waiting, submits=launcher is not None)
    if launcher is None:
        require_memory_here(waiting)
    sweep = None
    if line.multirun:
        command = ["python", "-m", "gradsweep", *args]
        console.print(_headline(plan), soft_wrap=True)
        sweep = freeze(plan, command)
        if launcher:
            return _launch(plan, sweep, launcher, command)
    status = _hydra(_hydra_arguments(line, plan), _time_left(plan) if sweep else None)
    if not rank.speaks:
        return status
    status = _conclude(plan, sweep) or status
    if left := uploads_left(UPLOAD_SECONDS):
        points = counted(left, "point")
        note = f"W&B is still uploading {points}; Ctrl-C leaves that to `gradsweep sync`"
        console.print(note, style="dim", soft_wrap=True)
    return status


def _hydra_arguments(line: CommandLine, plan: Plan) -> list[str]:
    """The checked command line for Hydra, which runs what was planned and nothing else."""
    args = [*line.source.flags, *line.overrides]
    if not line.multirun:
        return args
    sweep = f"sweep={quoted(plan.name)}"
    return ["--multirun", *args, sweep, f"hydra.sweeper._target_={SWEEPER}"]


def _time_left(plan: Plan) -> TimeLeft:
    points = forecast(plan, None, {}).points
    return TimeLeft({point.planned.point_id: point.seconds for point in points if point.starts})


def _hydra(args: Sequence[str], clock: TimeLeft | None = None) -> int:
    """Hydra reads `sys.argv` and ends by SystemExit when a point failed."""
    from gradsweep.cli.point import begin, main

    begin(clock)
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
    lines += [f"note: {note}" for note in plan.notes]
    lines += [f"left out: {reason}" for reason in plan.excluded]
    if others := _others_of_that_name(plan):
        lines.append(
            f"note: sweep {plan.name} had {counted(others, 'other point')}; it stands for these "
            "from now on, and the results of the others stay"
        )
    return "\n".join(lines)


def _others_of_that_name(plan: Plan) -> int:
    """How many points an earlier command of the same sweep name planned, and this one does not."""
    paths = SweepPaths(Path(plan.results), plan.name)
    earlier = read_manifest(paths)["points"] if paths.manifest.exists() else []
    return len({point["point_id"] for point in earlier} - {p.point_id for p in plan.points})


def _conclude(plan: Plan, sweep: SweepPaths | None, figures: bool = True) -> int:
    """Show what is stored now, and say which points are not done and why."""
    from gradsweep.cli.point import reasons
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
        show_results(Path(plan.results), done, name, figures=figures)
    if sweep or not any(p.point_id in reasons for _, p in unfinished):
        _show_unfinished(plan, unfinished)  # that of one point has just been shown
    return int(bool(unfinished))


def _show_unfinished(plan: Plan, unfinished: Sequence[tuple[PlannedPoint, PointPaths]]) -> None:
    """Say which points are not done and why; one reason of many points once, with their number."""
    points: dict[str, list[PlannedPoint]] = {}
    files: dict[str, str] = {}
    for point, paths in unfinished:
        reason, file = _why(paths)
        points.setdefault(reason, []).append(point)
        files.setdefault(reason, file)
    for reason, alike in points.items():
        names = ", ".join(map(plan.label, alike[:NAMED]))
        if len(alike) > 1:
            more = f", … {len(alike) - NAMED} more" if len(alike) > NAMED else ""
            names = f"{len(alike)} points ({names}{more})"
        file = f" ({files[reason]})" if files[reason] else ""
        show_error(f"{names}: {reason}{file}", title="not done:")


def _why(paths: PointPaths) -> tuple[str, str]:
    """Return why a point is not done, and the file that tells more; empty where none does."""
    from gradsweep.cli.point import reasons

    if failed := failure(paths):
        return f"{failed['error']}: {failed['message']}", str(failed["file"])
    if reason := reasons.get(paths.point_id):
        return reason, ""
    state = point_state(paths)
    if state is PointState.NEW:
        return "it could not be started; the reason is above", ""
    return f"{state.value}; run the same command again to go on", ""
