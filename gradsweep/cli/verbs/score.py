"""`score`: samples in the order of their gradients."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from gradsweep.cli.verbs.arguments import metric_list, verb_parser
from gradsweep.config.composition import add_source_flags, source_of
from gradsweep.errors import UsageError
from gradsweep.records import AXES, METRICS
from gradsweep.store.choice import POINT, is_filter, read_filters
from gradsweep.store.paths import point_folders
from gradsweep.store.place import is_override
from gradsweep.store.selection import Selection, selection
from gradsweep.store.sweep_flag import add_sweep


def run(args: Sequence[str]) -> int:
    """Samples ranked by their gradients, with loss and length beside them.

    score                                  every stored point, in results
    score cot=detailed --top 20            the stored points that axes name
    score dataset=jsonl dataset.path=mine.jsonl cot=detailed --by effective_rank --bottom 50
                                           a point by its overrides, measured first unless stored

    A score is the mean of a metric over layers and projections. The terminal shows both ends of
    each ranking, and how scores go with each other, with the loss and with the length, in ranks,
    before and after loss and length are taken out: what a gradient tells that they do not.
    results/reports/<name>/scores/ gets a file of JSON lines for each point, the largest score
    first, with the texts; with --top N or --bottom N so many of either end are a file of their
    own, which dataset=jsonl reads (dataset.path=that file).
    """
    from gradsweep.report.scores import show_scores

    given = _parser().parse_intermixed_args(args)
    chosen = _selection(given)
    if chosen is None:
        return 1
    show_scores(chosen, given.by, given.loss, top=given.top, bottom=given.bottom)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = verb_parser(run)
    add_sweep(parser)
    add_source_flags(parser)
    parser.add_argument("-m", "--multirun", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "words",
        nargs="*",
        metavar="results|sweep|override",
        help="a results folder (default: results) or a sweep, and axis=value,value to keep only "
        "these; or the overrides of a point, which is measured first unless it is stored",
    )
    parser.add_argument(
        "--by",
        type=metric_list,
        default=("nuclear_norm", "effective_rank"),
        metavar="METRICS",
        help=f"what scores are, separated by commas; the first one ranks: {', '.join(METRICS)}, "
        "or your own (default: nuclear_norm,effective_rank)",
    )
    parser.add_argument("--top", type=_count, metavar="N", help="export the N largest scores, too")
    parser.add_argument("--bottom", type=_count, metavar="N", help="export the N smallest, too")
    parser.add_argument(
        "--loss",
        choices=("mean", "sum"),
        default="mean",
        help="over a sample's response tokens; sum is computed from what is stored",
    )
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number of samples, 1 or more, got {text}")
    return int(text)


def _selection(given: argparse.Namespace) -> Selection | None:
    """The points that the words mean; None where one of them could not be measured."""
    if not given.multirun and _means_stored(given.words):
        return selection(given.words, given.sweep)
    if given.sweep:
        raise UsageError(
            f"--sweep={given.sweep} is of stored points, and {' '.join(given.words)} are overrides"
        )
    return _measured(given)


def _means_stored(words: Sequence[str]) -> bool:
    """Whether these are a place and axes of what is there, and no overrides."""
    overrides = [word for word in words if is_override(word)]
    if len(overrides) < len(words) or not overrides:
        return True  # a place is no override
    named = {name for word in overrides if is_filter(word) for name in read_filters(word)}
    of_axes = named <= {*AXES, "series", "seed", POINT} and all(map(is_filter, overrides))
    return of_axes and bool(point_folders(Path("results")))


def _measured(given: argparse.Namespace) -> Selection | None:
    """Run the points, unless they are done, as the same words without `score` would."""
    from gradsweep.cli.run import run as run_points
    from gradsweep.plan import checked_plan

    source = source_of(given)
    plan = checked_plan(given.words, given.multirun, source)
    if run_points([*(["-m"] if given.multirun else []), *source.flags, *given.words], plan):
        return None
    results = Path(plan.results)
    if given.multirun:
        return Selection(results, plan.name)
    return Selection(results, None, {POINT: (plan.points[0].point_id,)})
