"""`logs`: what the jobs of a point have printed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

from gradsweep.cli.verbs.arguments import verb_parser
from gradsweep.config.typed_paths import typed_place
from gradsweep.store.sweep_flag import add_sweep


def run(args: Sequence[str]) -> int:
    """What the job of a point has printed, and why the point failed.

    logs 3f2a                            by id or its beginning, as status shows it
    logs cot=none,correctness=correct    by filters that mean one point
    logs 3f2a -f                         goes on until the point is over; Ctrl-C ends only this

    Of the job's latest start, only the lines about this point; --all prints the whole file. The
    file's name goes to stderr.
    """
    from gradsweep.jobs.choice import choose_one
    from gradsweep.jobs.logs import show_logs
    from gradsweep.jobs.queue import known_submissions
    from gradsweep.jobs.status.observer import Observer
    from gradsweep.jobs.status.points import known_points

    parser = verb_parser(run)
    parser.add_argument("point", metavar="POINT", help="an id, its beginning, or axis=value,…")
    parser.add_argument("-f", "--follow", action="store_true", help="print what comes, as it comes")
    parser.add_argument("--all", action="store_true", help="all starts and all points of the job")
    parser.add_argument("--results", default="results", help="default: results")
    add_sweep(parser)
    given = parser.parse_args(args)
    results = typed_place(given.results)
    points = known_points(results, given.sweep, known_submissions(results))
    point = choose_one(points, given.point)
    observer = Observer(results, only=[point.point_id])
    with suppress(KeyboardInterrupt):
        show_logs(observer, _print, everything=given.all, follow=given.follow)
    return 0


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
