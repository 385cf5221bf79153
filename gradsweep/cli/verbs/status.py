"""`status`: where every point and its job stand."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from gradsweep.cli.verbs.arguments import add_selection, seconds, verb_parser


def run(args: Sequence[str]) -> int:
    """Where every point stands: its state, samples, speed, time left, job and node.

    running   a live process is measuring it
    queued    in a job that waits, or that has other points to run first
    submitted queued, or not any more: squeue does not answer
    failed    the reason is below the table; `logs POINT` shows more, `retry` runs it again
    lost      its process ended without a word (killed, out of memory, a lost node); `retry`
    stopped   started, not finished, in no job; `retry`, or the same command again
    new       planned, not started, in no job
    done

    status results cot=none dataset=gsm8k     only these points

    Samples are "stored/≤asked for": the data may have fewer. More than 40 points are condensed.
    All of this is read from the files; squeue only adds which jobs wait.
    """
    from gradsweep.jobs.status.follow import LOOK_SECONDS, follow
    from gradsweep.jobs.status.observer import Observer
    from gradsweep.jobs.status.table import MANY, status_table, wide_console
    from gradsweep.store.selection import selection

    parser = verb_parser(run)
    add_selection(parser)
    parser.add_argument("--all", action="store_true", help="every point, however many there are")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=seconds,
        const=LOOK_SECONDS,
        metavar="SECONDS",
        help="go on, looking every 2 seconds or so many, until nothing waits or runs",
    )
    given = parser.parse_args(args)
    chosen = selection(given.words, given.sweep)
    observer = Observer(chosen.results, chosen.sweep, words=chosen.filter_words)
    if given.watch:
        # Ctrl-C ends the watching, no job; the last table stays in the terminal.
        with suppress(KeyboardInterrupt):
            follow(observer, chosen.sweep or str(chosen.results), given.watch)
    console = wide_console()
    status = observer.look(observer.ask())
    console.print(status_table(status, console, None if given.all else MANY))
    return 0
