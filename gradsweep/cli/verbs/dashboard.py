"""`dashboard`: a saved workspace and a report in W&B."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from gradsweep.cli.verbs.arguments import add_selection, metric_list, verb_parser
from gradsweep.config.typed_paths import typed_place
from gradsweep.progress import output_console
from gradsweep.records import METRICS
from gradsweep.store import SweepPaths
from gradsweep.store.selection import selection

_METRICS = ("nuclear_norm", "sigma_ratio", "effective_rank")
_BESIDE = "results/reports/<name>/wandb"
"""Stands for the folder beside the report of the same points."""


def run(args: Sequence[str]) -> int:
    """A saved W&B workspace and a W&B report for the runs of these points.

    dashboard                               everything in ./results
    dashboard my-sweep                      only the runs of a sweep
    dashboard results model=llama3_8b       only some models, datasets, CoT levels
    dashboard results --dry-run             the JSON, without a server, a key or a network

    Run it again to bring both up to date: they keep their addresses (results/wandb/dashboards.json
    remembers them), and changes made by hand in W&B are overwritten.
    """
    given = _parser().parse_intermixed_args(args)
    chosen = selection(given.words, given.sweep)
    # wandb and its workspaces take a second to import: not before the words are right.
    from gradsweep.tracking.wandb.dashboard import contents, place_of

    shown = contents(chosen, given.metric)
    place = place_of(chosen, given.project, given.entity, given.name)
    console = output_console()
    if given.dry_run is not None:
        from gradsweep.tracking.wandb.dashboard.spec import write_specs

        beside = SweepPaths(chosen.results, chosen.name).report / "wandb"
        folder = beside if given.dry_run == _BESIDE else typed_place(given.dry_run)
        for path in write_specs(shown, place, folder):
            console.print(f"{path.stem:<10} {path}", soft_wrap=True)
        return 0
    from gradsweep.tracking.wandb.dashboard.save import save

    for kind, saved, is_new in save(shown, place, chosen.results):
        action = "made" if is_new else "brought up to date"
        console.print(f"{kind:<10} {saved.url}  {action}", soft_wrap=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = verb_parser(run)
    add_selection(parser)
    parser.add_argument("--project", help="default: the one that the points were tracked in")
    parser.add_argument("--entity", help="user or team; default: the points', else the key's own")
    parser.add_argument("--name", help="of workspace and report (default: gradsweep and the sweep)")
    parser.add_argument(
        "--metric",
        type=metric_list,
        default=_METRICS,
        help=f"one or several, separated by commas, the main one first (default: "
        f"{','.join(_METRICS)}), of {', '.join(METRICS)}, or your own",
    )
    parser.add_argument(
        "--dry-run",
        nargs="?",
        const=_BESIDE,
        metavar="FOLDER",
        help=f"write workspace.json and report.json (default: {_BESIDE}/)",
    )
    return parser
