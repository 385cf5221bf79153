"""`report`: what is stored, as tables, figures, findings and a page."""

from __future__ import annotations

from collections.abc import Sequence

from gradsweep.cli.verbs.arguments import add_selection, metric_list, seconds, verb_parser
from gradsweep.records import METRICS


def run(args: Sequence[str]) -> int:
    """Comparison tables in the terminal; a page, tables, figures and findings as files.

    They are written to results/reports/<name>/: index.html (everything in one page, for a
    browser), findings.md, tables/ (CSV, LaTeX, Markdown) and figures/ (PDF, PNG).
    """
    from gradsweep.report.processes import for_a_report
    from gradsweep.report.show import show_report
    from gradsweep.store.selection import selection

    parser = verb_parser(run)
    add_selection(parser)
    parser.add_argument(
        "--metric",
        type=metric_list,
        default=("nuclear_norm",),
        help=f"one or several, separated by commas: {', '.join(METRICS)}, loss, or your own",
    )
    parser.add_argument(
        "--loss",
        choices=("mean", "sum"),
        default="mean",
        help="over a sample's response tokens; sum is computed from what is stored",
    )
    parser.add_argument(
        "--figures",
        action="store_true",
        help="draw all of them (default: none where they are more than two dozen)",
    )
    parser.add_argument(
        "--watch",
        nargs="?",
        type=seconds,
        const=10.0,
        metavar="SECONDS",
        help="write the page again as results come (looks every 10 seconds), until all are there",
    )
    given = parser.parse_args(args)
    chosen = selection(given.words, given.sweep)
    with for_a_report():
        if given.watch:
            from gradsweep.report.watch import watch_report

            watch_report(chosen, given.metric, given.loss, given.watch)
        else:
            show_report(chosen, given.metric, given.loss, figures=given.figures)
    return 0
