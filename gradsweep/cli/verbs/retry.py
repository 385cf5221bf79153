"""`retry`: submit again what failed or got lost."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradsweep.cli.verbs.arguments import add_points, verb_parser

if TYPE_CHECKING:
    from gradsweep.jobs.retry import Retried


def run(args: Sequence[str]) -> int:
    """Submit again the points that failed, or that are not done and in no job.

    They run as they were submitted: the frozen configs, the launcher's settings and the code of
    their last submission, whatever has been edited since. That keeps a sweep the work of one
    version. When you have fixed the code, say --code new. Other settings (more memory, another
    partition): run the sweep's own command with them, which submits the same points.

    retry my_sweep cot=none              only these points: ids, their beginnings or axis=value

    Nothing is submitted twice: points that wait or run are left alone, and when the queue does
    not answer, nothing is submitted at all.
    """
    from gradsweep.jobs.choice import place_and_points
    from gradsweep.jobs.retry import retry
    from gradsweep.jobs.status.lines import LEFT, State

    given = _parser().parse_args(args)
    chosen, words = place_and_points(given.words, given.sweep)
    states = {State.FAILED} if given.failed else set()
    states |= set(LEFT) if given.missing else set()
    retried = retry(
        chosen.results,
        chosen.sweep,
        states or {State.FAILED, *LEFT},
        ["python", "-m", "gradsweep", "retry", *args],
        given.code == "new",
        words,
    )
    _show(retried, " ".join(given.words))
    return int(bool(retried.refused))


def _show(retried: Retried, place: str) -> None:
    from gradsweep.progress import console, show_error

    for submission in retried.submitted:
        order = submission.order
        names = " ".join(point.point_id for point in order.points)
        for line in (
            f"submitted {len(order.points)} of sweep {order.sweep}: {names}",
            f"jobs     {' '.join(submission.jobs)}",
            f"logs     {submission.paths.logs}",
        ):
            console.print(line, soft_wrap=True)
        if submission.other_code:
            console.print(
                "note: the code has changed since these points were first submitted; they run "
                "what it was (--code new runs today's)",
                soft_wrap=True,
            )
    if retried.submitted:
        console.print(f"follow   {' '.join(f'python -m gradsweep status --watch {place}'.split())}")
    elif not retried.refused:
        console.print("nothing to submit: every such point is done, running or in a job already")
    reasons: dict[str, list[str]] = {}
    for point_id, reason in retried.refused.items():
        reasons.setdefault(reason, []).append(point_id)
    for reason, points in reasons.items():
        show_error(f"{' '.join(points)}: {reason}", title="not submitted:")


def _parser() -> argparse.ArgumentParser:
    parser = verb_parser(run)
    add_points(parser)
    parser.add_argument("--failed", action="store_true", help="the points that have failed")
    parser.add_argument(
        "--missing",
        action="store_true",
        help="the points that are lost, stopped, cancelled or were never started (both: default)",
    )
    parser.add_argument(
        "--code",
        choices=("same", "new"),
        default="same",
        help="of the jobs: that of the last submission (default), or today's",
    )
    return parser
