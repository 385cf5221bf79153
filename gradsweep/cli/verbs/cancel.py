"""`cancel`: end what waits or runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradsweep.cli.verbs.arguments import add_points, verb_parser
from gradsweep.errors import ConfigError

if TYPE_CHECKING:
    from gradsweep.jobs.cancel import Cancelled


def run(args: Sequence[str]) -> int:
    """End the jobs of points, or take points out of jobs that have others to run.

    cancel 3f2a 91bc                     points by id or its beginning
    cancel cot=none,dataset=gsm8k        every point that is both
    cancel my_sweep --all                everything of a sweep (without a name: of results)

    A job with other points left goes on with those; a point that it is measuring is given up
    after the current batch. What is stored stays: retry, or the sweep's command, goes on there.
    """
    from gradsweep.jobs.cancel import cancel
    from gradsweep.jobs.choice import choose, place_and_points
    from gradsweep.jobs.status.observer import Observer

    given = _parser().parse_args(args)
    selected, words = place_and_points(given.words, given.sweep)
    if bool(words) == given.all:
        raise ConfigError("cancel takes points (ids or axis=value,…) or --all")
    observer = Observer(selected.results, selected.sweep)
    status = observer.look(observer.ask())
    points = [line.point for line in status.lines]
    chosen = points if given.all else choose(points, words)
    cancelled = cancel(status, {point.point_id for point in chosen})
    _show(cancelled)
    return int(bool(cancelled.problems))


def _show(cancelled: Cancelled) -> None:
    from gradsweep.progress import console, show_error

    for task in cancelled.ended:
        where = f" on {task.last.node}" if task.last else ", which had not started"
        console.print(f"ended    job {task.job_id}{where}", soft_wrap=True)
    for task in cancelled.narrowed:
        console.print(
            f"goes on  job {task.job_id} with what else it has: {' '.join(task.left)}",
            soft_wrap=True,
        )
    names = " ".join(cancelled.points)
    console.print(
        f"cancelled {names}" if names else "none of these points waits or runs",
        soft_wrap=True,
    )
    for problem in cancelled.problems:
        show_error(problem)


def _parser() -> argparse.ArgumentParser:
    parser = verb_parser(run)
    add_points(parser)
    parser.add_argument("--all", action="store_true", help="every point there")
    return parser
